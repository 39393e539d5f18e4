//! Periods: `span after start [to edge]`, the earliest or the latest of several.
//!
//! Invariant: a period whose starting point is not known has no date. `earliest` ignores what has not come,
//! `latest` waits for it; neither guesses.

use std::fmt;

use super::calendar::Calendar;
use super::model::{Edge, Period, Span, Start};
use crate::time::Millis;

/// A starting point as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    At(Millis),
    /// Declared to be open ended, and it has not come: nothing is wrong.
    Waiting,
    /// It should be known and is not.
    Unknown,
}

/// What a period comes to: the starting point that decided, and the date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    At { start: Millis, due: Millis },
    Waiting,
    Unknown,
}

impl Ends {
    pub fn due(self) -> Option<Millis> {
        match self {
            Self::At { due, .. } => Some(due),
            Self::Waiting | Self::Unknown => None,
        }
    }

    pub fn start(self) -> Option<Millis> {
        match self {
            Self::At { start, .. } => Some(start),
            Self::Waiting | Self::Unknown => None,
        }
    }
}

impl Period {
    /// When this period is over, given what is known of its starting points.
    pub fn ends(&self, calendar: &Calendar, begun: &mut dyn FnMut(&Start) -> Begun) -> Ends {
        match self {
            Self::Simple { span, start, edge } => match begun(start) {
                Begun::At(start) => Ends::At { start, due: calendar.due(start, *span, *edge) },
                Begun::Waiting => Ends::Waiting,
                Begun::Unknown => Ends::Unknown,
            },
            Self::Earliest(periods) => {
                let all: Vec<Ends> = periods.iter().map(|p| p.ends(calendar, begun)).collect();
                dated(&all).min_by_key(|(due, _)| *due).map_or_else(|| undated(&all), |(_, ends)| ends)
            }
            Self::Latest(periods) => {
                let all: Vec<Ends> = periods.iter().map(|p| p.ends(calendar, begun)).collect();
                if all.iter().any(|ends| ends.due().is_none()) {
                    return undated(&all);
                }
                dated(&all).max_by_key(|(due, _)| *due).map_or(Ends::Unknown, |(_, ends)| ends)
            }
        }
    }

    /// True where it names this starting point.
    pub fn starts_at(&self, wanted: &Start) -> bool {
        match self {
            Self::Simple { start, .. } => start == wanted,
            Self::Earliest(periods) | Self::Latest(periods) => periods.iter().any(|p| p.starts_at(wanted)),
        }
    }

    /// Every starting point it names.
    pub fn starts(&self) -> Vec<&Start> {
        match self {
            Self::Simple { start, .. } => vec![start],
            Self::Earliest(periods) | Self::Latest(periods) => {
                periods.iter().flat_map(Period::starts).collect()
            }
        }
    }

    /// Reads `span after start [to edge]`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let Some(after) = words.iter().position(|word| *word == "after") else {
            return Err(match Span::parse(text) {
                Ok(span) => format!("`{text}` does not say after what; write `{span} after recorded`"),
                Err(error) if text.trim().is_empty() || words.len() > 1 => {
                    format!(
                        "`{text}` is not a period ({error}); write `SPAN after START [to EDGE]`, such as 180d after recorded"
                    )
                }
                Err(error) => error,
            });
        };
        let (span, rest) = words.split_at(after);
        let span = Span::parse(&span.join(" "))?;
        match rest {
            [_, start] => Ok(Self::Simple { span, start: Start::parse(start)?, edge: None }),
            [_, start, "to", edge] => {
                Ok(Self::Simple { span, start: Start::parse(start)?, edge: Some(Edge::parse(edge)?) })
            }
            [_] => Err(format!("`{text}` names no starting point; write `{span} after recorded`")),
            _ => Err(format!(
                "`{text}` is not a period; write `SPAN after START [to EDGE]`, such as 10y after recorded to end_of_year"
            )),
        }
    }
}

fn dated(all: &[Ends]) -> impl Iterator<Item = (Millis, Ends)> + '_ {
    all.iter().filter_map(|ends| ends.due().map(|due| (due, *ends)))
}

fn undated(all: &[Ends]) -> Ends {
    if all.contains(&Ends::Unknown) || all.is_empty() { Ends::Unknown } else { Ends::Waiting }
}

impl Start {
    /// Reads a starting point: one of the four known ones, else the name of a declared event.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "recorded" => Self::Recorded,
            "last_activity" => Self::LastActivity,
            "granted" => Self::Granted,
            "withdrawn" => Self::Withdrawn,
            event if is_event_name(event) => Self::Event(event.to_owned()),
            other => {
                return Err(format!(
                    "`{other}` is not a starting point; use recorded, last_activity, granted, withdrawn or an event's name"
                ));
            }
        })
    }
}

/// Names of events begin with a letter and are letters, digits, `_`, `.` and `-`.
pub fn is_event_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

impl Edge {
    const ALL: [(&'static str, Self); 5] = [
        ("end_of_day", Self::Day),
        ("end_of_month", Self::Month),
        ("end_of_quarter", Self::Quarter),
        ("end_of_year", Self::Year),
        ("end_of_fiscal_year", Self::FiscalYear),
    ];

    fn parse(text: &str) -> Result<Self, String> {
        Self::ALL.iter().find(|(name, _)| *name == text).map(|(_, edge)| *edge).ok_or_else(|| {
            format!("`{text}` is not an edge; use end_of_day, end_of_month, end_of_quarter, end_of_year or end_of_fiscal_year")
        })
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Recorded => "recorded",
            Self::LastActivity => "last_activity",
            Self::Granted => "granted",
            Self::Withdrawn => "withdrawn",
            Self::Event(name) => name,
        })
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::ALL.iter().find(|(_, edge)| edge == self).map_or("end_of_day", |(name, _)| name))
    }
}

impl fmt::Display for Period {
    /// As a policy file would write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, periods) = match self {
            Self::Simple { span, start, edge } => {
                write!(f, "{span} after {start}")?;
                return edge.map_or(Ok(()), |edge| write!(f, " to {edge}"));
            }
            Self::Earliest(periods) => ("earliest", periods),
            Self::Latest(periods) => ("latest", periods),
        };
        write!(f, "{{{word}: [")?;
        for (n, period) in periods.iter().enumerate() {
            write!(f, "{}{period}", if n == 0 { "" } else { ", " })?;
        }
        f.write_str("]}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_span_after_a_start_to_an_edge() {
        for text in [
            "180d after account_closed",
            "10y after recorded to end_of_year",
            "13mo after last_activity",
            "0d after withdrawn to end_of_fiscal_year",
        ] {
            assert_eq!(Period::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Period::parse("P1Y after granted").unwrap().to_string(), "1y after granted");
    }

    #[test]
    fn what_is_no_period_says_what_to_write() {
        for (text, says) in [
            ("180d", "after what"),
            ("6m after recorded", "min or mo?"),
            ("180d after", "no starting point"),
            ("180d after 2026-01-01", "not a starting point"),
            ("180d after recorded to year_end", "not an edge"),
            ("180d after recorded until end_of_year", "SPAN after START"),
            ("for ever", "SPAN after START"),
            ("after recorded", "length is missing"),
        ] {
            let error = Period::parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn earliest_ignores_what_has_not_come_and_latest_waits_for_it() {
        let calendar = Calendar::in_zone("UTC", None).unwrap();
        let of = |name: &str| Period::parse(&format!("1d after {name}")).unwrap();
        let mut begun = |start: &Start| match start.to_string().as_str() {
            "early" => Begun::At(Millis(0)),
            "late" => Begun::At(Millis(10 * Millis::DAY)),
            "waiting" => Begun::Waiting,
            _ => Begun::Unknown,
        };
        let due = |days: i64| Some(Millis(days * Millis::DAY));
        let mut ends = |period: Period| period.ends(&calendar, &mut begun);
        assert_eq!(ends(Period::Earliest(vec![of("late"), of("early"), of("waiting")])).due(), due(2));
        assert_eq!(ends(Period::Latest(vec![of("late"), of("early")])).due(), due(12));
        assert_eq!(ends(Period::Latest(vec![of("late"), of("waiting")])), Ends::Waiting);
        assert_eq!(ends(Period::Latest(vec![of("waiting"), of("unknown"), of("early")])), Ends::Unknown);
        assert_eq!(ends(Period::Earliest(vec![of("waiting"), of("waiting")])), Ends::Waiting);
    }
}
