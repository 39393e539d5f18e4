//! Everything that would make an erasure fail, found before the first one: reading only.

use std::ffi::CString;
use std::fs::File;
use std::os::unix::fs::MetadataExt;

use quietus_contract::{CheckReport, Failure, Problem};
use quietus_core::system::{FileFormat, Manifest};
use rustix::fs::{Access, AtFlags, accessat};

use crate::config::{Config, Set, is_gzip};
use crate::record::Records;
use crate::source::{Span, text};
use crate::walk::{Place, Visitor, open_root, walk};
use crate::wanted::Wanted;

pub(crate) fn report(config: &Config, manifest: &Manifest) -> CheckReport {
    let mut problems = vec![Problem {
        fatal: false,
        code: "cannot_execute",
        place: manifest.system.clone(),
        detail: "mask, anonymise, pseudonymise, restrict and correct cannot be executed here: a line goes as a whole, with every other line of its subject"
            .into(),
        fix: "rules that reach this system: use erase".into(),
    }];
    match open_root(&config.root) {
        Ok(root) => {
            for set in &config.sets {
                let mut look = Look { set, system: &manifest.system, files: 0, problems: &mut problems };
                walk(&root, set, &mut look);
                if look.files == 0 {
                    problems.push(Problem {
                        fatal: false,
                        code: "missing_file",
                        place: set.path.clone(),
                        detail: "no file lies there".into(),
                        fix: "mend the path, or wait for the first file".into(),
                    });
                }
            }
        }
        Err(failure) => {
            let fix = "see connection.url and the rights on the folder";
            problems.push(fatal(failure.code, &manifest.system, failure.detail, fix));
        }
    }
    CheckReport { problems }
}

fn fatal(code: &'static str, place: &str, detail: String, fix: &str) -> Problem {
    Problem { fatal: true, code, place: place.to_owned(), detail, fix: fix.to_owned() }
}

struct Look<'a> {
    set: &'a Set,
    system: &'a str,
    files: u64,
    problems: &'a mut Vec<Problem>,
}

impl Visitor for Look<'_> {
    fn file(&mut self, place: &Place<'_>) {
        self.files += 1;
        if let Err(problem) = self.look(place) {
            self.problems.push(problem);
        }
    }

    fn failed(&mut self, failure: Failure) {
        let fix = "put a plain file or folder there, or give the node the right to it";
        self.problems.push(fatal(failure.code, self.system, failure.detail, fix));
    }

    fn leftovers(&mut self, _folder: &File, shown: &str, names: &[CString]) -> bool {
        self.problems.push(Problem {
            fatal: false,
            code: "missing_file",
            place: if shown.is_empty() { self.system.to_owned() } else { shown.to_owned() },
            detail: format!("{} files of a rewrite that is at work or broke off", names.len()),
            fix: "nothing to do: the next erasure takes it up".into(),
        });
        true
    }
}

impl Look<'_> {
    fn look(&self, place: &Place<'_>) -> Result<(), Problem> {
        let told =
            |f: Failure| fatal(f.code, self.system, f.detail, "mend the file, or take it out of the pattern");
        let Some(file) = place.open().map_err(told)? else { return Ok(()) };
        if accessat(place.folder, c".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_err() {
            let detail =
                "its folder may not be written: a file is replaced by a new one beside it".to_owned();
            return Err(fatal("denied", &place.shown, detail, "give the node the right to write the folder"));
        }
        let owner = file.metadata().map(|m| m.uid()).ok();
        let ours = rustix::process::geteuid();
        if owner.is_some_and(|owner| owner != ours.as_raw()) && !ours.is_root() {
            let detail =
                "it belongs to another user, and the rewritten file could not be given back".to_owned();
            return Err(fatal("denied", &place.shown, detail, "run the node as the files' owner"));
        }
        if self.set.format == FileFormat::Csv {
            self.header(place, &file)?;
        }
        Ok(())
    }

    /// The first row of a CSV file names its columns; one that matches must be among them.
    fn header(&self, place: &Place<'_>, file: &File) -> Result<(), Problem> {
        let size = file.metadata().map(|m| m.len()).unwrap_or(0);
        let nobody = Wanted::default();
        let bytes = text(Span::new(file, 0, size), is_gzip(place.name.to_bytes()));
        let mut records = Records::new(bytes, self.set, &nobody);
        match records.next() {
            Ok(_) => Ok(()),
            Err(broken) => {
                Err(fatal("missing_column", &place.shown, broken.why, "name the column as the header does"))
            }
        }
    }
}
