//! `quietus explain`: why something is kept, or due when.

use std::collections::BTreeMap;

use clap::Args;

use super::node::{NodeArgs, identity};
use super::output::say;
use super::{Exit, Failure, Output};
use crate::surface::wire::{ExplainBody, ExplainView, PartExplained};

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = true, args = ["item", "subject", "system"])]
pub struct Explain {
    #[command(flatten)]
    node: NodeArgs,
    /// The company's id of an item, or `it_…`.
    #[arg(conflicts_with_all = ["system", "at_row"])]
    item: Option<String>,
    /// `T:V`, `-` for stdin, `@FILE`: every item of this identity.
    #[arg(long, value_name = "T:V", conflicts_with_all = ["system", "at_row"])]
    subject: Option<String>,
    /// Where the record lies.
    #[arg(long, value_name = "NAME", requires = "at_row")]
    system: Option<String>,
    /// The record, `DATASET.COLLECTION/VALUE` or `…/COLUMN=VALUE,COLUMN=VALUE`.
    #[arg(long, value_name = "DATASET/KEY", requires = "system")]
    at_row: Option<String>,
    /// As of this time, RFC 3339.
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
}

impl Explain {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let client = self.node.client()?;
        let (dataset, locator) = match self.at_row.as_deref() {
            None => (None, None),
            Some(row) => {
                let system = self.system.as_deref().unwrap_or_default();
                let key = key_columns(&client, system, row).await?;
                let (dataset, locator) = place(row, &key)?;
                (Some(dataset), Some(locator))
            }
        };
        let one = self.subject.is_none() || self.item.is_some();
        let body = ExplainBody {
            item: self.item,
            subject: self.subject.as_deref().map(identity).transpose()?,
            system: self.system,
            dataset,
            locator,
            at: self.at,
        };
        if one {
            let view = client.explain(&body).await?;
            out.answer(&view, show)?;
            return Ok(Exit::Done);
        }
        let page = client.explain_subject(&body).await?;
        out.answer(&page, |out, page| {
            for (i, view) in page.items.iter().enumerate() {
                if i > 0 {
                    out.line("");
                }
                show(out, view);
            }
        })?;
        if page.next.is_some() {
            say(
                "there are more items: explain them one by one, `quietus item lookup --subject …` lists them",
            );
        }
        if page.items.is_empty() {
            say(super::item::UNKNOWN);
            return Ok(Exit::No);
        }
        Ok(Exit::Done)
    }
}

/// The key's columns, which the system's dataset names.
async fn key_columns(
    client: &crate::surface::client::Client,
    system: &str,
    row: &str,
) -> Result<Vec<String>, Failure> {
    let manifest = client.system(system).await?.manifest;
    let manifest: quietus_core::system::Manifest = serde_json::from_value(manifest).map_err(|cause| {
        Failure::unknown(format!(
            "the manifest of {system} is not understood ({cause}); is it a node of this version?"
        ))
    })?;
    let wanted = row.split_once('/').map_or(row, |(dataset, _)| dataset);
    let found = manifest.datasets.iter().find_map(|dataset| {
        let name = wanted.strip_prefix(dataset.fides_key.as_str())?.strip_prefix('.')?;
        dataset.collections.iter().find(|c| c.name == name)
    });
    found.map(|collection| collection.key.clone()).ok_or_else(|| {
        Failure::usage(format!(
            "--at-row: {system} has no {wanted}; `quietus system show {system}` lists what it has"
        ))
    })
}

fn place(row: &str, key: &[String]) -> Result<(String, BTreeMap<String, serde_json::Value>), Failure> {
    let usage = |why: &str| {
        let wanted: Vec<_> = key.iter().map(|column| format!("{column}=VALUE")).collect();
        Failure::usage(format!("--at-row: {why}; write DATASET.COLLECTION/{}", wanted.join(",")))
    };
    let (dataset, values) = row.split_once('/').ok_or_else(|| usage("it names no key"))?;
    let locator: BTreeMap<_, _> = match key {
        // With one column there is nothing to tell apart: all of it is the value.
        [column] => {
            let named = values.strip_prefix(column.as_str()).and_then(|v| v.strip_prefix('='));
            BTreeMap::from([(column.clone(), named.unwrap_or(values).into())])
        }
        _ => {
            let pairs = values.split(',').filter_map(|pair| pair.split_once('='));
            pairs.map(|(column, value)| (column.to_owned(), value.into())).collect()
        }
    };
    let named: Vec<&String> = locator.keys().collect();
    let mut wanted: Vec<&String> = key.iter().collect();
    wanted.sort();
    if named != wanted {
        return Err(usage("it does not name the columns of the key"));
    }
    Ok((dataset.to_owned(), locator))
}

fn show(out: &mut Output, view: &ExplainView) {
    let never = |due: &Option<String>| due.clone().unwrap_or_else(|| "no date".to_owned());
    out.pairs(&[("item", view.item.clone()), ("state", view.state.clone()), ("due", never(&view.due))]);
    for copy in &view.copies {
        out.line("");
        let verified = copy.verified.as_ref().map(|at| format!(", {at}")).unwrap_or_default();
        out.pairs(&[
            ("copy", format!("{} {}", copy.system, copy.dataset)),
            ("outcome", format!("{}{verified}", copy.outcome)),
            ("due", never(&copy.due)),
        ]);
        let rows: Vec<_> = copy.parts.iter().flat_map(part).collect();
        out.table(&["category", "due", "rule", "kind", "from", "until", ""], &rows);
    }
}

fn part(part: &PartExplained) -> Vec<Vec<String>> {
    let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let due = part.due.clone().or_else(|| part.open.clone()).unwrap_or_else(|| "no date".to_owned());
    let held =
        if part.holds.is_empty() { String::new() } else { format!("held by {}", part.holds.join(", ")) };
    if part.rules.is_empty() {
        let mut row = vec![part.category.clone(), due];
        row.resize(6, String::new());
        row.push(held);
        return vec![row];
    }
    let row = |rule: &crate::surface::wire::RuleExplained| {
        let wins = if rule.wins { "wins" } else { "" };
        let note = [wins, &held].into_iter().filter(|n| !n.is_empty()).collect::<Vec<_>>().join(", ");
        let (start, until) = (word(&rule.start), word(&rule.due));
        vec![part.category.clone(), due.clone(), rule.id.clone(), rule.kind.clone(), start, until, note]
    };
    part.rules.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_named_by_its_key_columns() {
        let one = ["id".to_owned()];
        let (dataset, locator) = place("shop.users/a,b=c", &one).unwrap();
        assert_eq!((dataset.as_str(), locator["id"].as_str()), ("shop.users", Some("a,b=c")));
        assert_eq!(place("shop.users/id=7", &one).unwrap().1["id"], "7");
        let two = ["order".to_owned(), "line".to_owned()];
        assert_eq!(place("s.lines/line=2,order=1", &two).unwrap().1.len(), 2);
        for wrong in ["s.lines", "s.lines/7", "s.lines/order=1", "s.lines/order=1,lyne=2"] {
            let said = place(wrong, &two).unwrap_err();
            assert!(said.exit == Exit::Usage && said.what.contains("order=VALUE,line=VALUE"), "{wrong}");
        }
    }
}
