//! One person in systems of seven kinds at once: one is down, one lies, one is slow, one answers after days. Whatever a
//! request says of a target is held against that system itself, at every look.

mod partner;
mod places;
mod restored;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use quietus::clock::{Clock, SystemClock};
use quietus::core::time::Millis;
use serde_json::{Value, json};

use self::places::Places;
use crate::world::{World, recorded};

/// The machine's clock, and the days that a test has let pass.
#[derive(Debug)]
struct Skipping {
    clock: SystemClock,
    skipped: AtomicI64,
}

impl Skipping {
    fn days(&self, days: i64) {
        self.skipped.fetch_add(days * Millis::DAY, Ordering::SeqCst);
    }
}

impl Clock for Skipping {
    fn now(&self) -> Millis {
        self.clock.now().plus(self.skipped.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        let skipped = u64::try_from(self.skipped.load(Ordering::SeqCst)).unwrap();
        self.clock.monotonic() + Duration::from_millis(skipped)
    }
}

/// The request as it is told, and what was ever told.
struct Watched<'a> {
    world: &'a World,
    places: &'a Places,
    path: String,
    told: BTreeSet<(String, String)>,
}

impl Watched<'_> {
    /// One look: what is told verified must be gone, and what is told gone by a system that cannot lie too.
    async fn look(&mut self) -> Value {
        let (status, view) = self.world.get(&self.path).await;
        assert_eq!(status, 200, "{view}");
        for target in view["targets"].as_array().unwrap() {
            let (system, outcome) = (target["system"].as_str().unwrap(), target["outcome"].as_str().unwrap());
            self.told.insert((system.to_owned(), outcome.to_owned()));
            if outcome == "verified" {
                assert!(!self.places.holds(system).await, "{system} is told verified and holds it: {view}");
                assert!(target["verified"].is_string(), "{view}");
            }
        }
        view
    }

    /// Looks until each of these systems is told to stand so.
    async fn until(&mut self, wanted: &[(&str, &str)]) -> Value {
        let mut view = Value::Null;
        for _ in 0..2_400 {
            view = self.look().await;
            if wanted.iter().all(|(system, outcome)| target(&view, system)["outcome"] == *outcome) {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("never {wanted:?}: {view}");
    }

    fn was_told(&self, system: &str, outcome: &str) -> bool {
        self.told.contains(&(system.to_owned(), outcome.to_owned()))
    }
}

/// The partner says that there is news, signed with this secret; the status of the answer.
async fn call_back(world: &World, clock: &Skipping, secret: &str) -> u16 {
    let body = r#"{"job": "j-1"}"#;
    let signer = quietus_http::Signer::new(secret).unwrap();
    let mut call =
        reqwest::Client::new().post(format!("{}/v1/systems/mailer/callback", world.url)).body(body);
    for (name, value) in signer.headers("msg_1", clock.now().0, body.as_bytes()) {
        call = call.header(name, value);
    }
    call.send().await.unwrap().status().as_u16()
}

fn target(view: &Value, system: &str) -> Value {
    let all = view["targets"].as_array().unwrap();
    let mine: Vec<&Value> = all.iter().filter(|t| t["system"] == system).collect();
    assert_eq!(mine.len(), 1, "{system} is one target: {view}");
    mine[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_seven_systems_tells_its_own_truth_and_the_liar_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let places = Places::open(dir.path()).await;
    let clock = Arc::new(Skipping { clock: SystemClock::new(), skipped: AtomicI64::new(0) });
    let world = World::under(dir.path(), Arc::<Skipping>::clone(&clock), None).await;
    world.publish().await;
    for manifest in places.manifests() {
        world.register(&manifest).await;
    }
    let mut event = recorded("4711", 2, &["ads"], &json!(4711));
    let copies = event["data"]["copies"].as_array_mut().unwrap();
    copies.push(json!({"system": "crm-db", "dataset": "crm.contacts", "locator": {"id": 4711}}));
    copies.push(json!({"system": "legacy", "dataset": "legacy.users", "locator": {"id": 4711}}));
    assert_eq!(world.events(&[event]).await.1["accepted"], 1);

    places.stop_cache();
    let request = json!({"type": "erase", "subject": "customer_id:4711"});
    let (status, taken) = world.post("/v1/requests", &request).await;
    assert_eq!(status, 202, "{taken}");
    let path = format!("/v1/requests/{}", taken["id"].as_str().unwrap());
    let mut watched = Watched { world: &world, places: &places, path, told: BTreeSet::new() };
    let view = watched
        .until(&[
            ("shop-db", "verified"),
            ("legacy", "verified"),
            ("archive", "verified"),
            ("nightly", "residual"),
            ("mailer", "accepted"),
            ("crm-db", "failed"),
            ("cache", "failed"),
        ])
        .await;
    assert_eq!(view["state"], "in_progress", "{view}");
    assert!(target(&view, "nightly")["until"].is_string(), "{view}");
    let detail = target(&view, "crm-db")["detail"].clone();
    assert_eq!(detail, "said to be gone, and the read-back found it", "{view}");
    let detail = target(&view, "cache")["detail"].to_string();
    assert!(detail.contains("unreachable"), "{view}");
    assert!(watched.was_told("shop-db", "ordered"), "it takes its time: {:?}", watched.told);
    places.others_are_there().await;

    // It comes back with what its readers had put into it.
    places.start_cache();
    watched.until(&[("cache", "verified")]).await;

    // A day passes: the partner is still at it. Two more: it says done, and is not believed but looked at.
    clock.days(1);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let view = watched.look().await;
    assert_eq!(target(&view, "mailer")["outcome"], "accepted", "{view}");
    places.partner.ends_its_jobs();
    places.rotate();
    clock.days(2);
    let tick = watched.until(&[("nightly", "verified")]).await;
    assert_eq!(target(&tick, "mailer")["outcome"], "accepted", "it is asked once a month: {tick}");
    assert_eq!(call_back(&world, &clock, "whsec_c29tZWJvZHkgZWxzZQ==").await, 401);
    assert_eq!(call_back(&world, &clock, places::SECRET).await, 202);
    watched.until(&[("mailer", "verified"), ("nightly", "verified")]).await;

    // The liar was tried again and again; mended, it is verified like the others.
    for never in ["verified", "residual", "refused"] {
        assert!(!watched.was_told("crm-db", never), "{:?}", watched.told);
    }
    places.mend_crm().await;
    let swept = world.sweep().await;
    assert_eq!(swept["failed"], 0, "{swept}");
    let view = watched.until(&[("crm-db", "verified")]).await;
    assert_eq!(view["state"], "fulfilled", "{view}");
    places.others_are_there().await;
    world.stop().await;
}
