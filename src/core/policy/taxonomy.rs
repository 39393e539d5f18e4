//! The names a policy may use without declaring them: Fideslang keys, countries, regimes.
//!
//! Invariant: shipped with the program and never fetched, so that a policy accepted today is accepted by every
//! replay. Two spellings of one key, Fideslang's own and its successor's, select the same data, although an item
//! keeps the spelling it came with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

/// Fideslang keys, countries and regimes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taxonomy {
    pub categories: BTreeSet<String>,
    pub uses: BTreeSet<String>,
    /// Key → its spelling in the next release.
    pub successors: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Shipped {
    data_category: Vec<Key>,
    data_use: Vec<Key>,
    successors_in_3_2: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Key {
    key: String,
}

static BUNDLED: LazyLock<Taxonomy> = LazyLock::new(|| {
    let shipped: Result<Shipped, _> =
        serde_json::from_str(include_str!("../../../schemas/taxonomy/fideslang.json"));
    shipped.map_or_else(|_| Taxonomy::default(), Taxonomy::from)
});

impl From<Shipped> for Taxonomy {
    fn from(shipped: Shipped) -> Self {
        let keys = |list: Vec<Key>| list.into_iter().map(|k| k.key).collect();
        let mut taxonomy = Self {
            categories: keys(shipped.data_category),
            uses: keys(shipped.data_use),
            successors: shipped.successors_in_3_2,
        };
        let renamed: Vec<String> =
            taxonomy.categories.iter().flat_map(|key| taxonomy.spellings(key)).collect();
        taxonomy.categories.extend(renamed);
        taxonomy
    }
}

impl Taxonomy {
    /// The one that ships with the program.
    pub fn bundled() -> &'static Self {
        &BUNDLED
    }

    /// Every way to write a key, itself first: a renamed head keeps its tail.
    pub fn spellings(&self, key: &str) -> Vec<String> {
        let mut all = vec![key.to_owned()];
        for (old, new) in &self.successors {
            for (from, to) in [(old, new), (new, old)] {
                if let Some(tail) = tail(from, key) {
                    all.push(format!("{to}{tail}"));
                }
            }
        }
        all.dedup();
        all
    }

    /// True where `selector` names `key` or one of its parents, in either spelling, by whole dot segments.
    pub fn covers(&self, selector: &str, key: &str) -> bool {
        let respelt = |from: &str, to: &str| {
            let rest = tail(from, selector).and_then(|kept| key.strip_prefix(to)?.strip_prefix(kept));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        tail(selector, key).is_some()
            || self.successors.iter().any(|(old, new)| respelt(old, new) || respelt(new, old))
    }

    /// True for a category of Fideslang, in either spelling.
    pub fn is_category(&self, key: &str) -> bool {
        self.categories.contains(key)
    }

    /// True for a data use of Fideslang.
    pub fn is_use(&self, key: &str) -> bool {
        self.uses.contains(key)
    }
}

/// What follows `head` in `key` (nothing, or `.more`), where it is `key` or one of its parents.
pub fn tail<'k>(head: &str, key: &'k str) -> Option<&'k str> {
    key.strip_prefix(head).filter(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// True for an ISO 3166-1 country, or a subdivision of one by shape (`US-CA`).
pub fn is_jurisdiction(code: &str) -> bool {
    let (country, subdivision) =
        code.split_once('-').map_or((code, None), |(country, rest)| (country, Some(rest)));
    COUNTRIES.split_whitespace().any(|known| known == country)
        && subdivision.is_none_or(|rest| {
            (1..=3).contains(&rest.len())
                && rest.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        })
}

/// ISO 3166-1 alpha-2, and the European Union, which ISO reserves for this use.
pub const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO \
    BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER \
    ES ET EU FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM \
    IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG \
    MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM \
    PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH \
    TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// The regimes whose request clocks ship with the program.
pub const REGIMES: &[&str] = &[
    "appi", "ccpa", "coppa", "cpra", "dpdp", "fadp", "gdpr", "hipaa", "lgpd", "pdpa-sg", "pdpa-th", "pipa",
    "pipeda", "pipl", "popia", "uk-gdpr",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_taxonomy_is_read() {
        let taxonomy = Taxonomy::bundled();
        assert!(taxonomy.is_category("user.contact.email") && taxonomy.is_use("marketing.advertising"));
        assert!(taxonomy.is_category("user.health.genetic"), "successors of children too");
        assert!(!taxonomy.is_category("user.contact.emial"));
    }

    #[test]
    fn a_selector_covers_by_whole_segments_in_both_spellings() {
        let covers = |selector: &str, key: &str| Taxonomy::bundled().covers(selector, key);
        for (selector, key, expected) in [
            ("user.contact", "user.contact.email", true),
            ("user.contact", "user.contact", true),
            ("user.contact.email", "user.contact", false),
            ("user.biometric", "user.biometrics", true),
            ("user.biometric", "user.biometrical", false),
            ("user.device.cookie", "user.device.cookie_id", false),
            ("user.social", "user.social_activity.friends", true),
            ("user.social_activity", "user.social", true),
            ("user.health.genetic", "user.health_and_medical.genetic", true),
            // both were renamed to one key, and stay apart all the same
            ("user.job_title", "user.professional_information", true),
            ("user.professional_information", "user.workplace", true),
            ("user.job_title", "user.workplace", false),
        ] {
            assert_eq!(covers(selector, key), expected, "{selector} covers {key}");
        }
    }

    #[test]
    fn a_jurisdiction_is_a_country_or_a_part_of_one() {
        for (code, expected) in [
            ("US", true),
            ("US-CA", true),
            ("NO", true),
            ("XX", false),
            ("us", false),
            ("US-california", false),
            ("US-", false),
        ] {
            assert_eq!(is_jurisdiction(code), expected, "{code}");
        }
    }
}
