//! The policies of the simulated company: drawn from a seed, written as YAML for the system, and dated here by
//! arithmetic that shares nothing with `policy::judge`.

use std::fmt::Write;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::plain::{HOUR, Part, Purpose};

#[derive(Clone, Debug)]
pub struct Rules {
    pub zone: &'static str,
    /// At most one for each part under each purpose.
    pub keeps: Vec<Keep>,
    /// On amounts.
    pub minimum: Option<Minimum>,
    pub cool_down_hours: i64,
    pub limit: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub struct Keep {
    pub part: Part,
    pub purpose: Purpose,
    pub span: Span,
    pub from: From,
}

#[derive(Clone, Copy, Debug)]
pub struct Minimum {
    pub span: Span,
    pub from: From,
    pub to_end_of_month: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    Hours(i64),
    Days(i64),
    Months(i64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Recorded,
    LastActivity,
    Granted,
    Closed,
}

impl Rules {
    pub fn draw(rng: &mut fastrand::Rng, version: i64) -> Self {
        let covered: [(Part, &[Purpose]); 4] = [
            (Part::Email, &[Purpose::Service, Purpose::Ads]),
            (Part::Note, &[Purpose::Service, Purpose::Ads]),
            (Part::Amount, &[Purpose::Billing, Purpose::Ads]),
            (Part::Basket, &[Purpose::Billing, Purpose::Ads, Purpose::Service]),
        ];
        let mut keeps = Vec::new();
        let days = [3, 8, 25][rng.usize(..3)];
        for (part, purposes) in covered {
            for purpose in purposes.iter().copied() {
                // A purpose that no rule covers keeps for ever.
                if rng.u8(..20) == 0 {
                    continue;
                }
                let from = match (rng.u8(..10), purpose) {
                    (0..5, _) => From::Recorded,
                    (5..8, _) => From::LastActivity,
                    (_, Purpose::Ads) => From::Granted,
                    _ => From::Closed,
                };
                keeps.push(Keep { part, purpose, span: Span::draw(rng, days), from });
            }
        }
        let minimum = (rng.u8(..3) > 0).then(|| Minimum {
            span: Span::draw(rng, 60),
            from: if rng.u8(..4) == 0 { From::Closed } else { From::Recorded },
            to_end_of_month: rng.u8(..4) == 0,
        });
        Self {
            zone: ["Europe/Berlin", "America/New_York", "Asia/Shanghai", "UTC"]
                [usize::try_from(version % 4).unwrap()],
            keeps,
            minimum,
            cool_down_hours: [0, 1, 24][rng.usize(..3)],
            limit: (rng.u8(..4) == 0).then(|| rng.u64(1..6)),
        }
    }

    pub fn yaml(&self) -> String {
        let mut yaml = format!("policy: company\ntimezone: {}\nevents:\n", self.zone);
        yaml += "  account_closed: {of: subject, open_ended: true, undone_by: account_reopened}\n";
        yaml += "purposes:\n";
        yaml += "  service: {use: essential.service, basis: contract, ended_by: account_closed}\n";
        yaml += "  billing: {use: essential.service.payment_processing, basis: contract, ended_by: account_closed}\n";
        yaml += "  ads: {use: marketing.advertising, basis: consent}\nrules:\n";
        for keep in &self.keeps {
            let (part, purpose) = (keep.part.category(), keep.purpose.name());
            let id = format!("{}-{purpose}", keep.part.field());
            let period = format!("{} after {}", keep.span.word(), keep.from.word());
            writeln!(yaml, "  - {{id: {id}, category: {part}, purpose: {purpose}, keep: {period}}}").unwrap();
        }
        if let Some(minimum) = &self.minimum {
            let edge = if minimum.to_end_of_month { " to end_of_month" } else { "" };
            let period = format!("{} after {}{edge}", minimum.span.word(), minimum.from.word());
            let part = Part::Amount.category();
            writeln!(yaml, "  - {{id: law, category: {part}, at_least: {period}, law: \"a law\"}}").unwrap();
        }
        writeln!(yaml, "holds: {{cool_down: {}h}}", self.cool_down_hours).unwrap();
        if let Some(limit) = self.limit {
            writeln!(yaml, "sweep: {{limit: {limit}}}").unwrap();
        }
        yaml
    }

    pub fn keep(&self, part: Part, purpose: Purpose) -> Option<&Keep> {
        self.keeps.iter().find(|k| k.part == part && k.purpose == purpose)
    }

    /// When `span` after `start` is over, in this policy's zone.
    pub fn over(&self, start: i64, span: Span, to_end_of_month: bool) -> i64 {
        let zone = TimeZone::get(self.zone).unwrap();
        let local = |at: i64| Timestamp::from_millisecond(at).unwrap().to_zoned_datetime(zone.clone()).date();
        let first = |day: Date| day.to_zoned_datetime(zone.clone()).unwrap().timestamp().as_millisecond();
        let last = match span {
            Span::Hours(hours) if !to_end_of_month => return start + hours * HOUR,
            Span::Hours(hours) => local(start + hours * HOUR),
            Span::Days(days) => local(start) + days.days(),
            Span::Months(months) => local(start) + months.months(),
        };
        let last = if to_end_of_month { last.last_of_month() } else { last };
        first(last.tomorrow().unwrap())
    }
}

impl Span {
    fn draw(rng: &mut fastrand::Rng, days: i64) -> Self {
        match rng.u8(..6) {
            0 => Self::Hours(rng.i64(1..days * 24)),
            1 => Self::Months(rng.i64(1..4)),
            _ => Self::Days(rng.i64(0..days)),
        }
    }

    fn word(self) -> String {
        match self {
            Self::Hours(n) => format!("{n}h"),
            Self::Days(n) => format!("{n}d"),
            Self::Months(n) => format!("{n}mo"),
        }
    }
}

impl From {
    fn word(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::LastActivity => "last_activity",
            Self::Granted => "granted",
            Self::Closed => "account_closed",
        }
    }
}
