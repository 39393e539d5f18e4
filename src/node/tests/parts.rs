//! Records that are made ready while those before them are brought to disk.

use super::*;
use crate::intake::arrived::Arrived;

fn record(id: usize) -> Arrived {
    let event = serde_json::json!({
        "specversion": "1.0", "source": "/shop", "id": format!("e{id}"), "type": "quietus.item.recorded.v1",
        "data": {
            "subject": format!("customer_id:{id}"), "category": "user.contact.email", "purposes": ["ads"],
            "recorded_at": "2026-01-01T00:00:00Z",
            "copies": [{"system": "shop-db", "dataset": "shop.users", "locator": {"id": id}}],
        },
    });
    Arrived::value(event.to_string().as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_repeats_a_record_of_a_part_before_its_own_is_a_duplicate() {
    let w = world().await;
    w.node
        .put_source("s.yaml", b"source: s\nfrom: {http: {}}\nformat: cloudevents\n", None, None)
        .await
        .unwrap();
    let ready = w.node.ready("s").unwrap();
    // Two parts and the beginning of a third, which repeats the first record of the second and one of its own.
    let parts = 2 * crate::node::feed::PART;
    let ids = (0..parts).chain([parts / 2, parts, parts]);
    let records: Vec<Arrived> = ids.map(record).collect();
    let fed = w.node.feed(&ready, &records, None, true).await.unwrap();
    assert_eq!((fed.taken, fed.duplicates, fed.refused.len()), (parts + 3, 2, 0));
    w.node.settle().await;
    let items: u64 = w.node.partitions.iter().map(|p| p.read().store.subjects_alive()).sum();
    assert_eq!(items, parts as u64 + 1);
}
