//! A sweep's or a plan's report, for people: every column that says something.

use super::Output;
use crate::surface::wire::Report;

pub fn report(out: &mut Output, report: &Report) {
    let always = [
        ("subjects", report.subjects),
        ("items", report.items),
        ("copies", report.copies),
        ("due", report.due),
    ];
    let columns = [
        ("erased", report.erased),
        ("masked", report.masked),
        ("verified", report.verified),
        ("held", report.held),
        ("deferred", report.deferred),
        ("residual", report.residual),
        ("refused", report.refused),
        ("out of reach", report.out_of_reach),
        ("failed", report.failed),
        ("in flight", report.in_flight),
        ("observed", report.observed),
        ("corrected", report.corrected),
        ("resurrected", report.resurrected),
        ("generations", report.generations),
    ];
    let said = always.into_iter().chain(columns.into_iter().filter(|(_, n)| *n > 0));
    let mut pairs: Vec<_> = said.map(|(name, n)| (name, n.to_string())).collect();
    let audit = &report.audit;
    if audit.entries > 0 {
        let ok = if audit.ok { "ok" } else { "BROKEN" };
        pairs.push(("audit", format!("{ok}, {} entries, {} decisions", audit.entries, audit.decisions)));
    }
    out.pairs(&pairs);
}
