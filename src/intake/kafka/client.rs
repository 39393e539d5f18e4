//! Kafka clients as this node makes them.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};

use super::feed::Trouble;

/// How long a consumer with a full queue waits before it fetches more.
pub const FETCH_BACKOFF_MS: &str = "10";

/// Brokers and how to be let in; values are resolved.
#[derive(Clone, Default)]
pub struct Settings {
    pub brokers: Vec<String>,
    /// By the library's own names.
    pub security: BTreeMap<&'static str, String>,
}

/// Passwords and keys.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<_> = self.security.keys().collect();
        f.debug_struct("Settings").field("brokers", &self.brokers).field("security", &keys).finish()
    }
}

impl Settings {
    /// What every client of this node is made from.
    pub fn client(&self, id: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", id)
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set("reconnect.backoff.max.ms", "2000");
        for (key, value) in &self.security {
            config.set(*key, value);
        }
        config
    }

    /// One of a group; where it starts, the assignment says.
    pub(super) fn member<C: ConsumerContext>(
        &self,
        id: &str,
        group: &str,
        context: C,
    ) -> Result<BaseConsumer<C>, Trouble> {
        let mut config = self.client(id);
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "1000")
            .set("statistics.interval.ms", "500")
            .set("fetch.wait.max.ms", "100")
            // A full queue is looked at again soon: by default a second later, when it has long run empty.
            .set("fetch.queue.backoff.ms", FETCH_BACKOFF_MS)
            .set("queued.max.messages.kbytes", "16384");
        config.create_with_context(context).map_err(|error| Trouble::of(&error))
    }

    /// Looks at topics without belonging to any group.
    pub(super) fn probe(&self, id: &str) -> Result<BaseConsumer, Trouble> {
        let mut config = self.client(id);
        config
            // Never joined: the library wants one for assigning by hand.
            .set("group.id", format!("{id}.probe"))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true")
            .set("fetch.wait.max.ms", "50")
            .set("queued.max.messages.kbytes", "256")
            .set("fetch.message.max.bytes", "65536");
        config.create().map_err(|error| Trouble::of(&error))
    }
}
