//! `quietus config …`

use clap::Subcommand;
use serde::Serialize;

use super::output::say;
use super::settings::Settings;
use super::{Exit, Failure, Output};

#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Every setting, its value, and where it came from.
    Show {
        #[command(flatten)]
        settings: Settings,
    },
}

#[derive(Debug, Serialize)]
struct Shown {
    settings: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    key: String,
    value: String,
    origin: String,
}

impl ConfigVerb {
    pub fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let Self::Show { settings } = self;
        let config = settings.layers()?;
        let lines = config.origins().into_iter().map(|s| Line {
            key: s.key,
            value: s.value,
            origin: s.origin.to_string(),
        });
        out.answer(&Shown { settings: lines.collect() }, |out, shown| {
            let rows: Vec<_> = shown
                .settings
                .iter()
                .map(|l| vec![l.key.clone(), l.value.clone(), l.origin.clone()])
                .collect();
            out.table(&["setting", "value", "from"], &rows);
        })?;
        // Settings that do not go together are shown all the same: that is how one sees why.
        match settings.usable() {
            Ok(_) => Ok(Exit::Done),
            Err(failure) => {
                say(&failure.what);
                Ok(failure.exit)
            }
        }
    }
}
