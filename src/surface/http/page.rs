//! Lists: `?limit=&cursor=` in, `{items, next}` out.

use serde::Deserialize;
use utoipa::IntoParams;

use crate::surface::wire::Page;

const LIMIT: usize = 100;
const LIMIT_MAX: usize = 1_000;

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
pub struct Paging {
    /// Rows a page; 100, at most 1,000.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

impl Paging {
    pub fn limit(&self) -> usize {
        let asked = self.limit.and_then(|l| usize::try_from(l).ok()).unwrap_or(LIMIT);
        asked.clamp(1, LIMIT_MAX)
    }

    /// The page after the cursor; rows come sorted by their key.
    pub fn cut<T>(&self, rows: impl IntoIterator<Item = T>, key: impl Fn(&T) -> String) -> Page<T> {
        let limit = self.limit();
        let after = |row: &T| self.cursor.as_ref().is_none_or(|cursor| key(row) > *cursor);
        let mut items: Vec<T> = rows.into_iter().filter(after).take(limit + 1).collect();
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(key) } else { None };
        Page { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_meet_without_a_gap_and_the_last_has_no_next() {
        let rows: Vec<u32> = (10..17).collect();
        let mut seen = Vec::new();
        let mut paging = Paging { limit: Some(3), cursor: None };
        loop {
            let page = paging.cut(rows.clone(), u32::to_string);
            assert!(page.items.len() <= 3);
            seen.extend(page.items);
            match page.next {
                Some(next) => paging.cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(seen, rows);
        assert_eq!(Paging { limit: Some(7), cursor: None }.cut(rows, u32::to_string).next, None);
    }
}
