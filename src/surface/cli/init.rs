//! `quietus init URL`: a database's catalogue becomes files that can be applied as they are.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use quietus_contract::Catalogue;
use quietus_core::system::Manifest;
use serde::Serialize;

use super::output::say;
use super::{Exit, Failure, Output};
use crate::clock::{Clock, SystemClock};
use crate::node::{Resolver, connect};
use crate::registering::{Address, Draft, NamedFile, files};

#[derive(Debug, Args)]
pub struct Init {
    /// The database: postgres://USER@HOST/DATABASE or sqlite:///PATH; `${env:NAME}` keeps a password out of the
    /// process list.
    url: String,
    /// Where the files go.
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// Write over files that are there already.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Serialize)]
struct Written {
    files: Vec<String>,
    tables: usize,
    /// Tables whose rows are about somebody.
    about_people: usize,
    /// Tables with a row for each person.
    people: Vec<String>,
    passed_over: Vec<String>,
    /// The variable that is to hold the URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    variable: Option<String>,
}

impl Init {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let resolved = Resolver::default().resolve(&self.url).map_err(Failure::usage)?;
        let address = Address::read(&self.url, &resolved).map_err(Failure::usage)?;
        let catalogue = read(&address, &resolved).await?;
        let draft = Draft::new(address, &catalogue);
        let written = files(&draft);
        let paths = write(&self.out, &written, self.force)?;
        let about_people = draft.tables().filter(|t| t.subject.is_some()).count();
        if let Some(variable) = &draft.address.variable {
            say(&format!(
                "the URL holds a password, so it stands in no file: set {variable} to it in the node's environment"
            ));
        }
        for passed in &draft.passed_over {
            say(&format!("{} is {}: left out", passed.name, passed.what));
        }
        if draft.people.is_empty() {
            say("no table looks like one of people: say whom rows are about with `subject:` in the dataset");
        }
        let answer = Written {
            files: paths,
            tables: catalogue.tables.len(),
            about_people,
            people: draft.people.clone(),
            passed_over: draft.passed_over.iter().map(|p| p.name.clone()).collect(),
            variable: draft.address.variable.clone(),
        };
        out.answer(&answer, |out, answer| {
            answer.files.iter().for_each(|file| out.line(file));
            let people = answer.people.join(", ");
            say(&format!(
                "{} table{}, {} of them about people ({people})",
                answer.tables,
                if answer.tables == 1 { "" } else { "s" },
                answer.about_people
            ));
        })?;
        Ok(Exit::Done)
    }
}

async fn read(address: &Address, url: &str) -> Result<Catalogue, Failure> {
    // References are resolved already; a `${` that is left belongs to the password.
    let resolver = Resolver { given: [("URL".to_owned(), url.to_owned())].into() };
    let manifest = Manifest {
        system: address.name.clone(),
        kind: address.kind.to_owned(),
        connection: [("url".to_owned(), "${env:URL}".to_owned())].into(),
        ..Manifest::default()
    };
    let told = |failure: quietus_contract::Failure| {
        if failure.may_retry {
            Failure::unknown(failure.to_string())
        } else {
            Failure::usage(failure.to_string())
        }
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let connector = connect(&manifest, &resolver, &clock).map_err(told)?;
    connector.catalogue().await.map_err(told)
}

/// All of them, or none: what is there already is not written over unasked.
fn write(folder: &Path, files: &[NamedFile], force: bool) -> Result<Vec<String>, Failure> {
    let failed = |path: &Path, cause: std::io::Error| {
        Failure::usage(format!(
            "{}: cannot be written: {cause}; check the path and its rights",
            path.display()
        ))
    };
    fs::create_dir_all(folder).map_err(|cause| failed(folder, cause))?;
    let paths: Vec<PathBuf> = files.iter().map(|file| folder.join(&file.name)).collect();
    if let Some(there) = paths.iter().find(|path| !force && path.exists()) {
        let what = format!(
            "{} is there already; name another folder with --out, or write over it with --force",
            there.display()
        );
        return Err(Failure::usage(what));
    }
    for (file, path) in files.iter().zip(&paths) {
        let written = fs::File::create(path).and_then(|mut f| f.write_all(file.text.as_bytes()));
        written.map_err(|cause| failed(path, cause))?;
    }
    Ok(paths.iter().map(|path| path.display().to_string()).collect())
}
