//! Data subject requests: taken in, and answered from where their duties stand.

use std::collections::BTreeMap;

use quietus_core::identity::SubjectKey;
use quietus_core::policy::answer_due;
use quietus_core::record::{Change, ChangeKind, Changes, Record, RequestMoved, RequestReceived};
use quietus_core::request::{Request, RequestAnswer, RequestKind, RequestState};
use quietus_core::time::Millis;

use super::once::{Once, WantedId, wanted};
use super::{Node, NodeError};

/// A request as it is asked for; the identity is keyed and sealed already.
#[derive(Clone, Debug)]
pub struct RequestOrder {
    pub kind: RequestKind,
    pub subject: SubjectKey,
    pub identity: Option<Vec<u8>>,
    /// Further identities that the person who asks says are theirs.
    pub also: Vec<SubjectKey>,
    pub grounds: Option<String>,
    pub purposes: Vec<String>,
    pub regime: Option<String>,
    /// Categories that take a new value, and all the values in one cell.
    pub categories: Vec<String>,
    pub corrections: Option<Vec<u8>>,
    pub on_behalf_of: Option<SubjectKey>,
    /// Who asks has not been verified yet.
    pub unverified: bool,
    pub by: Option<String>,
    pub once: Option<Once>,
}

impl RequestOrder {
    /// Asked of everything that this identity is known by, for no reason of its own.
    pub fn of(kind: RequestKind, subject: SubjectKey) -> Self {
        Self {
            kind,
            subject,
            identity: None,
            also: Vec::new(),
            grounds: None,
            purposes: Vec::new(),
            regime: None,
            categories: Vec::new(),
            corrections: None,
            on_behalf_of: None,
            unverified: false,
            by: None,
            once: None,
        }
    }
}

impl Node {
    /// Takes a request in and answers once the engine has decided it; it is dispatched at once.
    pub async fn receive_request(&self, order: RequestOrder) -> Result<(Request, RequestState), NodeError> {
        if self.with_control(|c| c.policy.is_none()) {
            return Err(NodeError::Conflict {
                code: "no-policy",
                what: "no policy is active, so nobody can say what a request ends".to_owned(),
                fix: "publish one: `quietus policy publish FILE`".to_owned(),
            });
        }
        let known = |id: &str| self.request(id).ok().map(|(r, _)| (r.received, r.asked));
        let id = match wanted(order.once.as_ref(), &self.keys, "rq", self.now(), known)? {
            WantedId::Made(id) => return self.request(&id),
            WantedId::New(id) => id,
        };
        // Its partition must know the policy that the request is answered by.
        self.has_decreed(self.with_control(|c| c.k)).await;
        let now = crate::schedule::ticks::tick_all(self).await?;
        let by_regime = self.with_control(|c| {
            let active = c.policy.as_ref()?;
            answer_due(&active.policy, &active.calendar, order.regime.as_deref(), order.kind, now)
        });
        let due = by_regime.unwrap_or_else(|| one_month_after(now));
        let record = RequestReceived {
            id: id.clone(),
            kind: order.kind.name().to_owned(),
            subject: order.subject.0.to_vec(),
            grounds: order.grounds,
            purposes: order.purposes,
            regime: order.regime,
            received: now.0,
            due: due.0,
            categories: order.categories,
            corrections: order.corrections,
            on_behalf_of: order.on_behalf_of.map(|s| s.0.to_vec()),
            by: order.by,
            identity: order.identity,
            unverified: order.unverified,
            asked: order.once.map(|once| once.asked.to_vec()),
        };
        let partition = self.partition_of(order.subject).index();
        let mut records = Vec::new();
        if !order.also.is_empty() {
            let claim = Change {
                subject: Some(order.subject.0.to_vec()),
                linked: Some(order.also.iter().flat_map(|key| key.0).collect()),
                ..Change::new(ChangeKind::Linked, now.0)
            };
            let source = "requests".to_owned();
            records.push(Record::Changes(Changes { source, rows: vec![claim], ..Changes::default() }));
        }
        records.push(Record::RequestReceived(record));
        let offset = self.append(partition, records, None).await?;
        self.has_applied(partition, offset).await;
        self.registry().nudge();
        self.request(&id)
    }

    pub fn request(&self, id: &str) -> Result<(Request, RequestState), NodeError> {
        let parts = self.partitions.iter().filter_map(|p| p.read().state.requests.get(id).cloned());
        let found = self.whole(parts.collect());
        found.ok_or_else(|| NodeError::NotFound { what: format!("there is no request {id}") })
    }

    /// A request's parts in the partitions of a person's identities, as one.
    fn whole(&self, parts: Vec<Request>) -> Option<(Request, RequestState)> {
        let (named, passed_on): (Vec<Request>, Vec<Request>) = parts.into_iter().partition(|r| !r.passed_on);
        let mut all = named.into_iter().chain(passed_on);
        let mut request = all.next()?;
        for part in all {
            request.members.extend(part.members);
            request.targets.extend(part.targets);
        }
        let mut duties = BTreeMap::new();
        for target in &request.targets {
            if let RequestAnswer::Duty(id) = target.answer {
                let inner = self.partition_of(target.item.subject).read();
                duties.extend(inner.state.duties.get(id).map(|duty| (id, duty.clone())));
            }
        }
        let state = request.state(|id| duties.get(&id));
        Some((request, state))
    }

    /// Every request, oldest first.
    pub fn requests(&self) -> Vec<(Request, RequestState)> {
        let mut parts: BTreeMap<String, Vec<Request>> = BTreeMap::new();
        for partition in self.partitions.iter() {
            for request in partition.read().state.requests.values() {
                parts.entry(request.id.clone()).or_default().push(request.clone());
            }
        }
        let mut all: Vec<_> = parts.into_values().filter_map(|parts| self.whole(parts)).collect();
        all.sort_by(|(a, _), (b, _)| (a.received, &a.id).cmp(&(b.received, &b.id)));
        all
    }

    /// Moves a request on: `cancel`, `decide`, `extend`, `verify-identity`, `lift`.
    pub async fn move_request(&self, moved: RequestMoved) -> Result<(Request, RequestState), NodeError> {
        let (request, _) = self.request(&moved.id)?;
        let moved = RequestMoved { subject: request.subject.0.to_vec(), ..moved };
        let id = moved.id.clone();
        crate::schedule::ticks::tick_all(self).await?;
        let partition = self.partition_of(request.subject).index();
        let offset = self.append(partition, vec![Record::RequestMoved(moved)], None).await?;
        self.has_applied(partition, offset).await;
        self.registry().nudge();
        self.request(&id)
    }
}

/// One month from receipt, the day clamped to the month's last.
fn one_month_after(at: Millis) -> Millis {
    let later = jiff::Timestamp::from_millisecond(at.0)
        .map(|t| t.to_zoned_datetime(jiff::tz::TimeZone::UTC))
        .and_then(|t| t.checked_add(jiff::Span::new().months(1)));
    later.map_or(at.plus(30 * Millis::DAY), |t| Millis(t.timestamp().as_millisecond()))
}
