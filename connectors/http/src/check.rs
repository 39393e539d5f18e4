//! Everything that would make a command fail, found before one is sent: the partner is asked about nobody.

use std::collections::BTreeSet;

use quietus_contract::{CheckReport, Failure, Problem};
use reqwest::Method;

use crate::HttpConnector;
use crate::answer::{No, send};
use crate::config::By;
use crate::people::{PEOPLE, fill, listed};
use crate::verify::{is_absent, question};

pub(crate) async fn report(connector: &HttpConnector) -> CheckReport {
    let mut report = Report { system: &connector.config.system, problems: Vec::new() };
    report.add(
        false,
        "cannot_execute",
        "this connector cannot mask, anonymise, pseudonymise or restrict",
        "a partner is told to erase people and to correct what it holds of them, and nothing else",
    );
    if connector.config.calls.correct.is_none() {
        let detail = "the manifest declares no call that corrects: corrections are refused";
        report.add(false, "cannot_execute", detail, "declare `correct` under `http`, if the partner has one");
    }
    if connector.config.is_open() {
        let detail = "connection.url is http://: identities cross the network in clear";
        report.add(false, "denied", detail, "ask the partner for an https:// address");
    }
    if connector.config.calls.poll.is_none() && connector.config.calls.read_back.is_none() {
        let detail =
            "nothing confirms what the partner does: its commands stay accepted, and fail at `deadline`";
        report.add(false, "cannot_execute", detail, "declare `poll` or `read_back` under `http`");
    } else if connector.config.calls.read_back.is_none() {
        let detail = "there is no read-back: what the partner says is never verified";
        report.add(false, "cannot_execute", detail, "declare `read_back` under `http`");
    }
    match &connector.config.calls.read_back {
        Some(call) => {
            let body = call.body.as_ref().map(|body| fill(body, &[(PEOPLE, listed(&BTreeSet::new()))]));
            match question(connector, By::Reading, call, body.as_ref()).await {
                Ok(answer) if is_absent(call, &answer) => {}
                Ok(_) => {
                    let detail = "asked about nobody, the partner does not answer what `absent` says";
                    report.add(
                        false,
                        "cannot_execute",
                        detail,
                        "see that the pointers of `absent` are right",
                    );
                }
                // Some take no empty list; being let in is what counts.
                Err(failure) if failure.code == "denied" && !failure.detail.contains("not let us in") => {
                    report.add(
                        false,
                        failure.code,
                        &failure.detail,
                        "the partner takes no empty list: see to it that it takes a full one",
                    );
                }
                Err(failure) => report.fail(&failure),
            }
        }
        None => {
            let request =
                connector.config.request(By::Reading, Method::GET, "/", None, "msg_check", (connector.now)());
            match send(connector, request).await {
                Ok(_) | Err(No::Refused(_) | No::Unknown) => {}
                Err(No::Failed(failure)) => report.fail(&failure),
            }
        }
    }
    CheckReport { problems: report.problems }
}

struct Report<'a> {
    system: &'a str,
    problems: Vec<Problem>,
}

impl Report<'_> {
    fn fail(&mut self, failure: &Failure) {
        let fix = match failure.code {
            "denied" => "see `secret`, `token` and `header` under `connection`",
            _ => "see that the partner is up and that connection.url is right, then check again",
        };
        self.add(true, failure.code, &failure.detail, fix);
    }

    fn add(&mut self, fatal: bool, code: &'static str, detail: &str, fix: &str) {
        let (place, detail, fix) = (self.system.to_owned(), detail.to_owned(), fix.to_owned());
        self.problems.push(Problem { fatal, code, place, detail, fix });
    }
}
