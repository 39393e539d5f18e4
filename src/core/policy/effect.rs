//! What a person's request does to a purpose: it ends it, is refused with law and date, or a person decides.
//!
//! Invariant: a request ends only what the basis lets it end, or what `ends_on` says in so many words. Nothing here
//! erases: an ended purpose is one that keeps no longer, and holds and minima stand as before.

use super::model::{Basis, EndsOn, Purpose};
use super::period::Begun;
use super::purpose::NAMELESS;
use super::shape::ShapeRules;
use super::start::Starts;
use super::taxonomy::tail;
use crate::time::Millis;

/// Why a person asks for erasure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grounds {
    NoLongerNecessary,
    ConsentWithdrawn,
    Objected,
    Unlawful,
    LegalObligation,
    Child,
}

impl Grounds {
    /// Every ground by the code it is written with.
    pub const ALL: [(&'static str, Self); 6] = [
        ("no_longer_necessary", Self::NoLongerNecessary),
        ("consent_withdrawn", Self::ConsentWithdrawn),
        ("objected", Self::Objected),
        ("unlawful", Self::Unlawful),
        ("legal_obligation", Self::LegalObligation),
        ("child", Self::Child),
    ];

    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(name, _)| *name == code).map(|(_, grounds)| *grounds)
    }

    /// A contract that still runs gives way to these.
    fn end_a_contract(self) -> bool {
        match self {
            Self::Unlawful | Self::NoLongerNecessary | Self::LegalObligation => true,
            Self::ConsentWithdrawn | Self::Objected | Self::Child => false,
        }
    }
}

/// What becomes of one purpose of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestEffect {
    Ends,
    Refused(Refusal),
    PersonDecides,
    /// This kind of request does not reach this purpose: its basis is another one.
    NotEnded,
}

/// Why a request is refused, and until when the data is kept: what the person is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub because: Because,
    /// The rule that keeps the data longest under this purpose, with its law; None where no rule covers it.
    pub rule: Option<String>,
    pub law: Option<String>,
    pub until: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// A law asks for the data.
    LegalObligation,
    /// The contract's relationship has not ended.
    ContractRuns,
    /// The purpose says by `ends_on` that this request does not end it.
    PolicySays,
}

/// What a request of this kind does to a purpose of this item ([`NAMELESS`] = the one of a copy that never had any).
pub fn ends_by_request(
    starts: &Starts<'_>,
    purpose: &str,
    kind: EndsOn,
    grounds: Option<Grounds>,
    now: Millis,
) -> RequestEffect {
    let Some(declared) = starts.policy.purposes.get(purpose) else {
        return undeclared(purpose, kind);
    };
    if declared.overrides {
        return match (declared.ends_on.contains(&kind), kind) {
            (true, _) => RequestEffect::Ends,
            (false, EndsOn::Withdraw) => RequestEffect::NotEnded,
            (false, EndsOn::Object | EndsOn::Erase) => refused(starts, purpose, Because::PolicySays),
        };
    }
    match kind {
        EndsOn::Withdraw => match declared.basis {
            Basis::Consent => RequestEffect::Ends,
            Basis::Contract
            | Basis::LegalObligation
            | Basis::VitalInterests
            | Basis::PublicInterest
            | Basis::LegitimateInterests => RequestEffect::NotEnded,
        },
        EndsOn::Object => match declared.basis {
            Basis::LegitimateInterests => objection(declared),
            Basis::VitalInterests | Basis::PublicInterest => RequestEffect::PersonDecides,
            // Direct marketing ends on objection whatever it rests on.
            Basis::Consent | Basis::Contract if is_marketing(declared) => RequestEffect::Ends,
            Basis::Consent | Basis::Contract | Basis::LegalObligation => RequestEffect::NotEnded,
        },
        EndsOn::Erase => match declared.basis {
            Basis::Consent => RequestEffect::Ends,
            Basis::LegitimateInterests => objection(declared),
            Basis::Contract
                if has_ended(starts, declared, now) || grounds.is_some_and(Grounds::end_a_contract) =>
            {
                RequestEffect::Ends
            }
            Basis::Contract => refused(starts, purpose, Because::ContractRuns),
            Basis::LegalObligation => refused(starts, purpose, Because::LegalObligation),
            Basis::VitalInterests | Basis::PublicInterest => RequestEffect::PersonDecides,
        },
    }
}

/// The kinds of request that may end a purpose of this basis, unless `ends_on` says otherwise.
pub fn ends_on_by_default(basis: Basis) -> Vec<EndsOn> {
    match basis {
        Basis::Consent => vec![EndsOn::Withdraw, EndsOn::Erase],
        Basis::LegitimateInterests => vec![EndsOn::Object, EndsOn::Erase],
        Basis::Contract => vec![EndsOn::Erase],
        Basis::LegalObligation | Basis::VitalInterests | Basis::PublicInterest => Vec::new(),
    }
}

/// Nothing justifies a nameless purpose once the person asks; a name that no policy declares has no basis to go by.
fn undeclared(purpose: &str, kind: EndsOn) -> RequestEffect {
    match (purpose == NAMELESS, kind) {
        (true, EndsOn::Erase) => RequestEffect::Ends,
        (_, EndsOn::Withdraw) => RequestEffect::NotEnded,
        (_, EndsOn::Object | EndsOn::Erase) => RequestEffect::PersonDecides,
    }
}

fn objection(purpose: &Purpose) -> RequestEffect {
    if is_marketing(purpose) { RequestEffect::Ends } else { RequestEffect::PersonDecides }
}

fn is_marketing(purpose: &Purpose) -> bool {
    tail("marketing", &purpose.data_use).is_some()
}

/// True once the contract's relationship is over: the event came and was not taken back, or is assumed to have come.
/// An event is told when it has happened, so one that lies ahead of the tick by no more than clocks differ came; it may
/// be the second telling of an end long past, of which the last alone is kept.
fn has_ended(starts: &Starts<'_>, purpose: &Purpose, now: Millis) -> bool {
    let Some(event) = &purpose.ended_by else { return false };
    let begun = starts.begun(&super::model::Start::Event(event.clone()), &[]);
    let told = starts.happened(event).is_some_and(|at| at <= now.plus(Millis::SKEW));
    told || matches!(begun, Begun::At(at) if at <= now)
}

/// Refused on account of the rule that keeps the item longest under this purpose; one that names a law before
/// others, and where a law is what refuses, the minima too.
fn refused(starts: &Starts<'_>, purpose: &str, because: Because) -> RequestEffect {
    let rules = ShapeRules::of(starts.policy, &starts.item.copies, &|_| false);
    let maxima = rules.keepings(starts).into_iter();
    let maxima = maxima.filter(|keeping| keeping.purpose.unwrap_or(NAMELESS) == purpose);
    let maxima = maxima.filter_map(|keeping| keeping.winner).map(|kept| (kept.rule, kept.due().ok()));
    let minima = rules.bindings(starts).into_iter().filter(|bound| {
        let named = &bound.rule.selectors.purpose;
        because == Because::LegalObligation && (named.is_empty() || named.iter().any(|name| name == purpose))
    });
    let minima = minima.map(|bound| (bound.rule, bound.ends.due()));
    let longest =
        maxima.chain(minima).max_by_key(|(rule, until)| (rule.law.is_some(), until.is_none(), *until));
    RequestEffect::Refused(Refusal {
        because,
        rule: longest.map(|(rule, _)| rule.id.clone()),
        law: longest.and_then(|(rule, _)| rule.law.clone()),
        until: longest.and_then(|(_, until)| until),
    })
}
