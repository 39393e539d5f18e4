//! `quietus dead-letter …`

use clap::{Args, Subcommand};

use super::node::NodeArgs;
use super::{Exit, Failure, Output};
use crate::surface::wire::DeadLetterView;

#[derive(Debug, Args)]
pub struct DeadLetter {
    #[command(flatten)]
    node: NodeArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Records that could not be read, without what they hold.
    List,
    /// One of them, with the record itself.
    Show { id: String },
    /// Map it again, with the source as it is now.
    Retry {
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// Every one of them.
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

impl DeadLetter {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let client = self.node.client()?;
        match self.verb {
            Verb::List => {
                let letters = client.dead_letters().await?;
                out.answer(&letters, |out, letters| list(out, letters))?;
                Ok(Exit::Done)
            }
            Verb::Show { id } => {
                let letter = client.dead_letter(&id).await?;
                out.answer(&letter, show)?;
                Ok(Exit::Done)
            }
            Verb::Retry { id: Some(id), .. } => {
                client.retry_dead_letter(&id).await?;
                let taken = serde_json::json!({"id": id, "result": "taken"});
                out.answer(&taken, |out, _| out.line(&format!("{id}  taken")))?;
                Ok(Exit::Done)
            }
            Verb::Retry { id: None, .. } => {
                let (mut taken, mut kept) = (0u64, Vec::new());
                for letter in client.dead_letters().await? {
                    match client.retry_dead_letter(&letter.id).await {
                        Ok(()) => taken += 1,
                        Err(crate::surface::client::ClientError::Problem(problem))
                            if problem.status < 500 =>
                        {
                            kept.push(serde_json::json!({"id": letter.id, "detail": problem.detail}));
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
                let exit = if kept.is_empty() { Exit::Done } else { Exit::No };
                let answer = serde_json::json!({"taken": taken, "kept": kept});
                out.answer(&answer, |out, _| {
                    out.line(&format!("{taken} taken, {} kept", kept.len()));
                    for one in &kept {
                        let text = |key: &str| one.get(key).and_then(|v| v.as_str()).unwrap_or_default();
                        out.line(&format!("{}  {}", text("id"), text("detail")));
                    }
                })?;
                Ok(exit)
            }
        }
    }
}

fn list(out: &mut Output, letters: &[DeadLetterView]) {
    let row =
        |l: &DeadLetterView| vec![l.id.clone(), l.source.clone(), place(l), l.reason.clone(), l.at.clone()];
    let rows: Vec<_> = letters.iter().map(row).collect();
    out.table(&["id", "source", "position", "reason", "at"], &rows);
}

fn place(letter: &DeadLetterView) -> String {
    match (&letter.topic, letter.partition, letter.offset) {
        (Some(topic), _, Some(offset)) if topic.starts_with("file:") => format!("record {offset}"),
        (Some(topic), Some(partition), Some(offset)) => format!("{topic}/{partition}@{offset}"),
        _ => "none".to_owned(),
    }
}

fn show(out: &mut Output, letter: &DeadLetterView) {
    out.pairs(&[
        ("id", letter.id.clone()),
        ("source", letter.source.clone()),
        ("position", place(letter)),
        ("reason", letter.reason.clone()),
        ("detail", letter.detail.clone()),
        ("at", letter.at.clone()),
        ("erased", letter.expires.clone()),
    ]);
    let Some(record) = &letter.record else { return out.line("the record was too large to be kept") };
    if let Some(key) = &record.key {
        out.pairs(&[("key", key.clone())]);
    }
    for (name, value) in &record.headers {
        out.line(&format!("header {name}: {value}"));
    }
    out.line(record.value.as_deref().unwrap_or("(no value: a tombstone)"));
}
