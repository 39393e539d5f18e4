//! Data subject requests: taken in, and answered from where their duties stand.

use quietus_core::identity::SubjectKey;
use quietus_core::record::{Record, RequestMoved, RequestReceived};
use quietus_core::request::{Request, RequestKind, RequestState};
use quietus_core::time::Millis;

use super::once::{Once, WantedId, wanted};
use super::{Node, NodeError};

/// A request as it is asked for; the identity is keyed and sealed already.
#[derive(Clone, Debug)]
pub struct RequestOrder {
    pub kind: RequestKind,
    pub subject: SubjectKey,
    pub identity: Option<Vec<u8>>,
    pub grounds: Option<String>,
    pub purposes: Vec<String>,
    pub regime: Option<String>,
    pub on_behalf_of: Option<SubjectKey>,
    pub by: Option<String>,
    pub once: Option<Once>,
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
        if !matches!(order.kind, RequestKind::Erase | RequestKind::Object | RequestKind::Withdraw) {
            return Err(NodeError::Refused {
                code: "request-type",
                what: format!("requests of type {} are not carried out yet", order.kind.name()),
                fix: "erase, object and withdraw are; answer this one by hand".to_owned(),
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
        let record = RequestReceived {
            id: id.clone(),
            kind: order.kind.name().to_owned(),
            subject: order.subject.0.to_vec(),
            grounds: order.grounds,
            purposes: order.purposes,
            regime: order.regime,
            received: now.0,
            due: one_month_after(now).0,
            corrections: None,
            on_behalf_of: order.on_behalf_of.map(|s| s.0.to_vec()),
            by: order.by,
            identity: order.identity,
            asked: order.once.map(|once| once.asked.to_vec()),
        };
        let partition = self.partition_of(order.subject).index();
        let offset = self.append(partition, vec![Record::RequestReceived(record)], None).await?;
        self.has_applied(partition, offset).await;
        self.registry().nudge();
        self.request(&id)
    }

    pub fn request(&self, id: &str) -> Result<(Request, RequestState), NodeError> {
        let found = self.partitions.iter().find_map(|partition| {
            let inner = partition.read();
            let request = inner.state.requests.get(id)?.clone();
            let state = request.state(|duty| inner.state.duties.get(duty));
            Some((request, state))
        });
        found.ok_or_else(|| NodeError::NotFound { what: format!("there is no request {id}") })
    }

    /// Every request, oldest first.
    pub fn requests(&self) -> Vec<(Request, RequestState)> {
        let mut all = Vec::new();
        for partition in self.partitions.iter() {
            let inner = partition.read();
            let with_state = |r: &Request| (r.clone(), r.state(|duty| inner.state.duties.get(duty)));
            all.extend(inner.state.requests.values().map(with_state));
        }
        all.sort_by(|(a, _), (b, _)| (a.received, &a.id).cmp(&(b.received, &b.id)));
        all
    }

    /// Moves a request on: `cancel`, `decide`, `extend`.
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
