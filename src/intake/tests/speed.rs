//! What an event costs: `cargo test --release -p quietus --lib -- --ignored --nocapture what_an_event_costs`.

use super::*;

#[test]
#[ignore = "a measurement, not a check"]
fn what_an_event_costs() {
    let (intake, context) = (intake(), context());
    let bodies: Vec<String> = (0..50u32)
        .map(|b| {
            let row = |n: u32| b * 1_000 + n;
            batch(
                &(0..1_000)
                    .map(|n| {
                        recorded(&row(n).to_string(), &format!("email:c{}@example.org", row(n) / 10), row(n))
                    })
                    .collect::<Vec<_>>(),
            )
        })
        .collect();
    let began = std::time::Instant::now();
    let mut bytes = 0;
    for body in &bodies {
        let batch = read("application/cloudevents-batch+json", |_| None, body.as_bytes()).unwrap();
        let accepted = intake.accept(&batch, &Feed::default(), &context);
        assert_eq!(accepted.accepted, 1_000);
        intake.remember(&accepted.receipt);
        bytes += accepted
            .frames
            .iter()
            .map(|(_, f)| crate::ledger::codec::encode_frame(f).unwrap().len())
            .sum::<usize>();
    }
    let took = began.elapsed();
    println!("{:?} an event, {} bytes of frame", took / 50_000, bytes / 50_000);
}
