//! The pairs of category and purpose that the files of a folder use: what a policy is checked over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use quietus_core::document::Diagnostic;
use quietus_core::policy::{self, Taxonomy, Used};
use quietus_core::system::{self, Dataset};

use super::{Failure, files};
use crate::surface::documents;

/// The datasets and manifests of a folder, not yet read as such: which categories there are, the policy says.
pub struct Beside {
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Beside {
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let files = files::below(folder)?
            .into_iter()
            .map(|path| files::read(&path).map(|bytes| (path, bytes)))
            .collect::<Result<_, _>>()?;
        Ok(Self { files })
    }

    /// The pairs in use, and what is wrong with the files. A dataset that a manifest names takes the manifest's
    /// purposes where a collection has none.
    pub fn used(&self, policy: &policy::Policy) -> (Vec<Used>, Vec<Diagnostic>) {
        let own = |key: &str| policy.categories.contains_key(key);
        let is_category = |key: &str| Taxonomy::bundled().is_category(key) || own(key);
        let mut found = Vec::new();
        let mut datasets: BTreeMap<String, (Dataset, Vec<String>)> = BTreeMap::new();
        for (path, bytes) in &self.files {
            let name = path.display().to_string();
            let Ok(nodes) = quietus_core::document::read(&name, bytes) else {
                // Which kind of file it would be cannot be said; its own check says what is wrong with it.
                let (_, wrong) = system::parse_dataset(&name, bytes, &is_category);
                found.extend(wrong);
                continue;
            };
            if nodes.iter().any(|n| n.get("system").is_some() && n.get("kind").is_some()) {
                let load = documents::beside(path);
                let (manifest, wrong) = system::parse_manifest(&name, bytes, &load, &is_category);
                found.extend(wrong);
                if let Some(manifest) = manifest {
                    for dataset in manifest.datasets {
                        datasets.insert(dataset.fides_key.clone(), (dataset, manifest.purposes.clone()));
                    }
                }
            } else if nodes.iter().any(|n| n.get("dataset").is_some()) {
                let (read, wrong) = system::parse_dataset(&name, bytes, &is_category);
                found.extend(wrong);
                for dataset in read {
                    datasets.entry(dataset.fides_key.clone()).or_insert((dataset, Vec::new()));
                }
            }
        }
        found.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        found.dedup();
        (datasets.values().flat_map(|(dataset, purposes)| pairs(dataset, purposes)).collect(), found)
    }
}

fn pairs(dataset: &Dataset, of_system: &[String]) -> Vec<Used> {
    let mut out = Vec::new();
    for collection in &dataset.collections {
        let own = &collection.purposes;
        let named = if own.is_empty() { of_system } else { own.as_slice() };
        let purposes: Vec<Option<String>> = match named {
            [] => vec![None],
            named => named.iter().cloned().map(Some).collect(),
        };
        let place = format!("{}.{}", dataset.fides_key, collection.name);
        for (_, field) in collection.leaves().into_iter().filter(|(_, field)| field.waived.is_none()) {
            for category in &field.categories {
                out.extend(purposes.iter().map(|purpose| Used {
                    category: category.clone(),
                    purpose: purpose.clone(),
                    collection: place.clone(),
                }));
            }
        }
    }
    out.sort();
    out.dedup();
    out
}
