//! The laws on the memory connector, and the proof that they can see.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use quietus_conformance::{Harness, Row, broken_laws, fixture, prove, run};
use quietus_contract::Connector;
use quietus_memory::{Faults, Fields, MemoryConnector};

#[derive(Default)]
struct Memory(Mutex<Option<MemoryConnector>>);

impl Memory {
    fn connector(&self) -> Result<MemoryConnector, String> {
        let held = self.0.lock().map_err(|e| e.to_string())?;
        held.clone().ok_or_else(|| "nothing prepared".to_owned())
    }
}

#[async_trait]
impl Harness for Memory {
    async fn prepare(&self, rows: &[Row]) -> Result<Arc<dyn Connector>, String> {
        let connector = MemoryConnector::new(fixture::manifest("memory"));
        *self.0.lock().map_err(|e| e.to_string())? = Some(connector.clone());
        for row in rows {
            self.put(row).await?;
        }
        Ok(Arc::new(connector))
    }

    async fn put(&self, row: &Row) -> Result<(), String> {
        let key = row.locator();
        let fields: Fields = row
            .columns
            .iter()
            .filter(|(c, _)| !key.contains_key(c))
            .map(|(c, v)| (c.clone(), v.clone()))
            .collect();
        self.connector()?.put(&row.dataset, &key, fields);
        Ok(())
    }

    async fn rows(&self) -> Result<Vec<Row>, String> {
        let row = |((dataset, key), fields): ((String, quietus_memory::Key), Fields)| {
            let key = key.into_iter().map(|(c, v)| (c, Some(v)));
            Row { dataset, columns: fields.into_iter().chain(key).collect() }
        };
        Ok(self.connector()?.rows().into_iter().map(row).collect())
    }

    async fn unreachable(&self) -> Option<Arc<dyn Connector>> {
        let connector = MemoryConnector::new(fixture::manifest("memory"));
        connector.set_faults(Faults { unavailable: true, ..Faults::default() });
        Some(Arc::new(connector))
    }
}

#[tokio::test]
async fn the_memory_connector_passes_every_law() {
    let results = run(&Memory::default()).await;
    assert_eq!(broken_laws(&results), Vec::<String>::new());
    let readme = include_str!("../README.md");
    for table in [quietus_conformance::table(&results), quietus_conformance::abilities(&describe())] {
        assert!(readme.contains(&table), "README.md is to hold:\n{table}");
    }
}

#[tokio::test]
async fn each_broken_connector_fails_exactly_its_law() {
    assert_eq!(prove(Arc::new(Memory::default())).await, Vec::<String>::new());
}

fn describe() -> quietus_contract::Capabilities {
    MemoryConnector::new(fixture::manifest("memory")).describe()
}
