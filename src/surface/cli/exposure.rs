//! `quietus exposure`

use clap::Args;

use super::node::NodeArgs;
use super::{Exit, Failure, Output};
use crate::surface::wire::{ExposedView, ExposureBody, ExposureView};

#[derive(Debug, Args)]
pub struct Exposure {
    #[command(flatten)]
    node: NodeArgs,
    /// The system that was open to others.
    #[arg(long, value_name = "SYSTEM")]
    system: String,
    /// Since when, RFC 3339.
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Until when, RFC 3339.
    #[arg(long, value_name = "TIME")]
    to: String,
}

impl Exposure {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let client = self.node.client()?;
        let body = ExposureBody { system: self.system, from: self.from, to: self.to };
        let view = client.exposure(&body).await?;
        out.answer(&view, show)?;
        Ok(Exit::Done)
    }
}

fn show(out: &mut Output, view: &ExposureView) {
    out.pairs(&[
        ("system", view.system.clone()),
        ("from", view.from.clone()),
        ("to", view.to.clone()),
        ("subjects", view.subjects.to_string()),
        ("items", view.items.to_string()),
        ("copies", view.copies.to_string()),
        ("undated", view.undated.to_string()),
    ]);
    let row = |r: &ExposedView| {
        let purpose = r.purpose.clone().unwrap_or_default();
        vec![r.category.clone(), purpose, r.subjects.to_string(), r.items.to_string()]
    };
    let rows: Vec<_> = view.by.iter().map(row).collect();
    out.table(&["category", "purpose", "subjects", "items"], &rows);
}
