//! Names → keys: one by one where a name is a key, by one walk over the key space for all that hold a star.

use quietus_contract::Failure;
use redis::aio::MultiplexedConnection;

use crate::config::Spot;
use crate::failure;
use crate::script::Op;
use crate::template::{Name, escape};

/// Keys looked at in one step of a SCAN: the server is free between two.
pub(crate) const STEP: usize = 1000;

/// Every operation that these spots mean. A key that comes into being behind the walk is found by the read-back.
pub(crate) async fn matching(
    session: &mut MultiplexedConnection,
    wanted: &[(usize, Spot)],
) -> Result<Vec<Op>, Failure> {
    let mut ops = Vec::new();
    let mut stars: Vec<&(usize, Spot)> = Vec::new();
    for one in wanted {
        let (of, spot) = one;
        match spot.key.exact() {
            Some(key) => ops.push(Op { of: *of, key: key.as_bytes().to_vec(), what: spot.what.clone() }),
            None => stars.push(one),
        }
    }
    if stars.is_empty() {
        return Ok(ops);
    }
    let pattern = format!("{}*", escape(common(stars.iter().map(|(_, spot)| &spot.key))));
    let mut cursor: Option<u64> = Some(0);
    while let Some(at) = cursor {
        let (next, keys) = step(session, at, &pattern).await?;
        for key in keys {
            for (of, spot) in stars.iter().filter(|(_, spot)| spot.key.means(&key)) {
                ops.push(Op { of: *of, key: key.clone(), what: spot.what.clone() });
            }
        }
        cursor = (next != 0).then_some(next);
    }
    // SCAN may tell of a key twice.
    ops.sort_by(|a, b| (a.of, &a.key).cmp(&(b.of, &b.key)));
    ops.dedup_by(|a, b| a.of == b.of && a.key == b.key && a.what == b.what);
    Ok(ops)
}

/// One step of a walk: where it goes on (0 = it is over), and the keys.
pub(crate) async fn step(
    session: &mut MultiplexedConnection,
    at: u64,
    pattern: &str,
) -> Result<(u64, Vec<Vec<u8>>), Failure> {
    let mut scan = redis::cmd("SCAN");
    scan.arg(at).arg("MATCH").arg(pattern).arg("COUNT").arg(STEP);
    scan.query_async(session).await.map_err(|e| failure::reading(&e))
}

/// What all of these begin with.
fn common<'n>(mut names: impl Iterator<Item = &'n Name>) -> &'n str {
    let Some(first) = names.next().map(Name::head) else { return "" };
    let mut end = first.len();
    for name in names {
        let same = first.chars().zip(name.head().chars()).take_while(|(a, b)| a == b);
        end = end.min(same.map(|(c, _)| c.len_utf8()).sum());
    }
    first.get(..end).unwrap_or_default()
}
