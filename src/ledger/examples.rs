//! One filled example of every record, for the codec's tests and the golden bytes.

use quietus_core::identity::{ItemKey, ProcessKey, SubjectKey};
use quietus_core::record::*;
use quietus_core::time::Millis;

const AT: i64 = 1_795_000_000_123;

fn key(n: u8) -> Vec<u8> {
    vec![n; 16]
}

fn text(value: &str) -> Option<String> {
    Some(value.into())
}

fn by() -> Option<String> {
    text("platform-token")
}

/// A batch of `rows` facts in one shape with one copy.
pub fn facts(rows: u16) -> Facts {
    let mut facts = Facts {
        source: "shop-users".into(),
        source_generation: 3,
        marks: vec![Mark { topic: "orders.v2".into(), partition: 2, from: 10, to: 521 }],
        shapes: vec![Shape {
            categories: vec!["user.contact.email".into(), "user.name".into()],
            purposes: vec!["registration".into()],
            jurisdiction: text("CN"),
            service: text("web"),
            controller: text("acme"),
            copies: vec![ShapeCopy {
                system: "shop-db".into(),
                dataset: "shop.users".into(),
                purposes: Some(vec!["registration".into()]),
                disclosure: text("court, art. 6, AZ 12"),
            }],
            ..Shape::default()
        }],
        ..Facts::default()
    };
    for n in 0..rows {
        let n8 = n.to_le_bytes()[0];
        facts.push(&Fact {
            subject: SubjectKey([n8; 16]),
            item: ItemKey([n8 ^ 1; 16]),
            start: (n % 3 != 2).then_some(Millis(AT + i64::from(n))),
            shape: 0,
            origin: Origin::Event,
            source_time: Millis(AT),
            process: (n % 2 == 1).then_some(ProcessKey([9; 16])),
            event_id: [n8; 8],
            cells: vec![vec![n8; 27]],
            identity: (n % 10 == 0).then(|| vec![7; 30]),
        });
    }
    facts
}

fn change() -> Change {
    Change {
        subject: Some(key(1)),
        item: Some(key(2)),
        process: Some(key(3)),
        name: text("advertising"),
        system: text("shop-db"),
        dataset: text("shop.users"),
        policy_version: text("4"),
        cause: text("object"),
        copies: vec![NamedCopy {
            system: "crm".into(),
            dataset: "crm.contacts".into(),
            purposes: Some(vec![]),
            disclosure: text("court, art. 6, AZ 12"),
            cell: vec![1, 2, 3],
        }],
        linked: Some([key(4), key(5)].concat()),
        categories: vec!["user.name".into()],
        values: Some(vec![6; 40]),
        origin: 2,
        event_id: Some(vec![8; 8]),
        ..Change::new(ChangeKind::Withdrawn, AT)
    }
}

fn answer(kind: AnswerKind) -> Answer {
    Answer {
        obligation: key(1),
        attempt: 2,
        kind,
        count: 1,
        detail: text("statement timeout"),
        reference: text("job-1"),
        until: Some(AT + 1),
        may_retry: true,
        might_have_happened: true,
        at: Some(AT),
        position: text("0/16B3748"),
    }
}

fn seen(finding: FindingKind) -> Seen {
    Seen {
        obligation: key(1),
        attempt: 2,
        finding,
        count: 0,
        identity_rows: Some(2),
        scope: vec!["primary key".into()],
        not_checked: vec!["replica".into()],
        detail: text("two rows"),
        at: Some(AT),
    }
}

/// Every record, in the order of its schema id.
pub fn all() -> Vec<Record> {
    use AnswerKind as A;
    use ChangeKind as C;
    let kinds = [
        C::Touched,
        C::Active,
        C::Granted,
        C::Withdrawn,
        C::Event,
        C::Ended,
        C::Corrected,
        C::Copied,
        C::Gone,
        C::Linked,
        C::Activity,
    ];
    let answers = [
        A::Removed,
        A::Changed,
        A::Absent,
        A::Unchanged,
        A::Accepted,
        A::Blocked,
        A::Refused,
        A::Failed,
        A::Residual,
    ];
    let findings = [FindingKind::Gone, FindingKind::Found, FindingKind::Unreadable];
    vec![
        OwnerStarted { node: "node-a".into(), semantics: 1, version: "0.1.0".into() }.into(),
        Tick { now: AT }.into(),
        SourceAt { source: "shop-users".into(), source_generation: 3, position: "0:521".into(), time: AT }
            .into(),
        ControlCopy { k: 12, schema: 40, body: vec![1, 2, 3] }.into(),
        facts(3).into(),
        Changes {
            source: "shop-users".into(),
            source_generation: 3,
            marks: vec![Mark { topic: String::new(), partition: 0, from: -1, to: i64::MAX }],
            rows: kinds.map(|kind| Change { kind, ..change() }).to_vec(),
        }
        .into(),
        DeadLettered {
            id: "dl_1".into(),
            source: "orders".into(),
            source_generation: 3,
            topic: text("orders.v2"),
            partition: Some(2),
            offset: Some(521),
            reason: "no-rule".into(),
            detail: "no rule matches".into(),
            payload: Some(vec![6; 40]),
            at: AT,
            expires: AT + 1,
        }
        .into(),
        DeadLetterClosed { id: "dl_1".into(), by: by(), at: AT }.into(),
        Ordered {
            system: "shop-db".into(),
            control_k: 12,
            orders: vec![Order { obligation: key(1), attempt: 2, not_after: AT }],
        }
        .into(),
        Confirmed { system: "shop-db".into(), answers: answers.map(answer).to_vec() }.into(),
        ReadBack { system: "shop-db".into(), seen: findings.map(seen).to_vec() }.into(),
        RequestReceived {
            id: "rq_1".into(),
            kind: "erase".into(),
            subject: key(1),
            grounds: text("unlawful"),
            purposes: vec!["advertising".into()],
            regime: text("pipl"),
            received: AT,
            due: AT + 1,
            categories: vec!["user.name".into()],
            corrections: Some(vec![6; 40]),
            on_behalf_of: Some(key(2)),
            by: by(),
            identity: Some(vec![7; 30]),
            unverified: true,
            asked: Some(vec![4; 32]),
        }
        .into(),
        RequestMoved {
            id: "rq_1".into(),
            subject: key(1),
            verb: "decide".into(),
            purposes: vec!["advertising".into()],
            decision: text("end"),
            until: Some(AT),
            reason: text("complex"),
            by: by(),
        }
        .into(),
        Forwarded { from_partition: 1, from_offset: 99, subject: key(1), schema: 30, body: vec![1, 2, 3] }
            .into(),
        Delivered { up_to: 99 }.into(),
        PolicyStored { name: "acme".into(), document: "policy: acme\n".into(), by: by(), at: AT }.into(),
        PolicyPublished {
            name: "acme".into(),
            version: 2,
            document: "policy: acme\n".into(),
            by: by(),
            approved_by: text("second-token"),
            at: AT,
        }
        .into(),
        SystemPut { name: "shop-db".into(), manifest: "{}".into(), by: by(), at: AT }.into(),
        SystemMode { name: "shop-db".into(), mode: "enforce".into(), by: by(), at: AT }.into(),
        SystemRetired { name: "shop-db".into(), by: by(), at: AT }.into(),
        SourcePut { name: "shop-users".into(), document: text("{}"), generation: 3, by: by(), at: AT }.into(),
        HoldPlaced {
            id: "hd_1".into(),
            matter: "audit".into(),
            authority: "court".into(),
            reference: text("AZ 12"),
            owner: "legal".into(),
            reason: "ordered".into(),
            scope: "{\"all\":true}".into(),
            review: "2027-01-01".into(),
            confidential: true,
            allow: vec!["user.contact".into()],
            by: by(),
            at: AT,
            asked: Some(vec![4; 32]),
        }
        .into(),
        HoldReleased { id: "hd_1".into(), by: by(), reason: text("closed"), at: AT }.into(),
        HoldEffective { id: "hd_1".into(), at: AT, covered_items: 3, covered_copies: 4 }.into(),
        SweepOrdered {
            id: "sw_1".into(),
            as_of: AT,
            planned_k: 12,
            quota: vec![100, 200],
            root: Some(vec![5; 32]),
            by: by(),
            at: AT,
            asked: Some(vec![4; 32]),
        }
        .into(),
        SweepClosed { id: "sw_1".into(), state: "finished".into(), report: "{}".into(), at: AT }.into(),
        SweepSwitch { stopped: true, by: by(), at: AT }.into(),
        ClockAccepted { now: AT, by: by() }.into(),
        Acknowledged {
            partition: 1,
            k: 12,
            hold: text("hd_1"),
            covered_items: 3,
            covered_copies: 4,
            in_flight: key(1),
            at: AT,
        }
        .into(),
        SweepAwaiting {
            id: "sw_2".into(),
            as_of: AT,
            forecast: 30,
            root: vec![5; 32],
            report: "{}".into(),
            by: by(),
            at: AT,
            asked: Some(vec![4; 32]),
        }
        .into(),
        ReapplyOrdered {
            id: "ra_1".into(),
            since: AT,
            system: text("shop-db"),
            restored: true,
            by: by(),
            at: AT,
        }
        .into(),
        LinkLimit { max: 50, at: AT }.into(),
        NewsSwitch { on: true, at: AT }.into(),
        EvidenceEnded { before: AT - 1, at: AT }.into(),
        NewsTold { up_to: 99 }.into(),
    ]
}
