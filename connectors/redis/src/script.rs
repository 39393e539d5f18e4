//! The two scripts that run inside the server: one counts what is there, one takes it away.
//!
//! Invariant: the taking script reads the server's own clock first and does nothing past the permit's deadline. Each
//! script runs as a whole or not at all; within it every operation answers for itself, because Redis rolls nothing
//! back: an operation that fails leaves the others done, and says so.
//! Rejected: MULTI/EXEC, which cannot compare TIME with the deadline.

use quietus_contract::Failure;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};

use crate::config::What;
use crate::failure;

/// One key, or a part of one, that somebody's target means.
#[derive(Clone)]
pub(crate) struct Op {
    /// Which target of the call.
    pub(crate) of: usize,
    pub(crate) key: Vec<u8>,
    pub(crate) what: What,
}

/// What a script did: past the deadline nothing.
pub(crate) enum Ran {
    /// Per operation how much went, or why not; the server's clock in milliseconds.
    Through {
        counts: Vec<Result<u64, Failure>>,
        at: i64,
    },
    TooLate,
}

/// How much of each operation is there.
pub(crate) async fn probe(
    session: &mut MultiplexedConnection,
    ops: &[Op],
) -> RedisResult<Vec<Result<u64, Failure>>> {
    let answers: Vec<Value> = call(PROBE, "", ops).query_async(session).await?;
    Ok(answers.iter().map(count).collect())
}

/// Takes it away, unless the server's clock says it is too late; `deadline` in microseconds since the epoch.
pub(crate) async fn take(session: &mut MultiplexedConnection, deadline: i64, ops: &[Op]) -> RedisResult<Ran> {
    let (at, answers): (i64, Vec<Value>) =
        call(TAKE, &deadline.to_string(), ops).query_async(session).await?;
    match at < 0 {
        true => Ok(Ran::TooLate),
        false => Ok(Ran::Through { counts: answers.iter().map(count).collect(), at }),
    }
}

fn count(answer: &Value) -> Result<u64, Failure> {
    match answer {
        Value::Int(n) => Ok(u64::try_from(*n).unwrap_or_default()),
        Value::BulkString(code) => Err(failure::of_code(&String::from_utf8_lossy(code))),
        _ => Err(Failure::retry("internal", "the server answered nothing of use")),
    }
}

/// KEYS in order; ARGV is the deadline, then for each key its verb, how many arguments, and those.
fn call(script: &str, deadline: &str, ops: &[Op]) -> redis::Cmd {
    let mut cmd = redis::cmd("EVAL");
    cmd.arg(script).arg(ops.len());
    for op in ops {
        cmd.arg(&op.key);
    }
    cmd.arg(deadline);
    for op in ops {
        match &op.what {
            What::Key => cmd.arg("key").arg(0),
            What::Fields(fields) => cmd.arg("fields").arg(fields.len()).arg(fields),
            What::Member(member) => cmd.arg("member").arg(1).arg(member),
        };
    }
    cmd
}

/// A count, or an error's code; inside a script Redis 7.0 calls a missing right a plain ERR.
macro_rules! script {
    ($body:literal) => {
        concat!(
            "
local function said(r)
  if type(r) ~= 'table' then return r end
  local err = r.err or 'ERR'
  if string.find(err, 'user executing the script', 1, true) then return 'NOPERM' end
  return string.match(err, '^%S+')
end",
            $body
        )
    };
}

const PROBE: &str = script!(
    "
local out, a = {}, 2
for i, key in ipairs(KEYS) do
  local verb, n = ARGV[a], tonumber(ARGV[a + 1])
  local r
  if verb == 'key' then
    r = redis.pcall('EXISTS', key)
  elseif verb == 'fields' then
    r = 0
    for j = 1, n do
      local one = redis.pcall('HEXISTS', key, ARGV[a + 1 + j])
      if type(one) == 'table' then r = one break end
      r = r + one
    end
  else
    local kind = redis.pcall('TYPE', key)
    if kind.ok == 'zset' then
      r = redis.pcall('ZSCORE', key, ARGV[a + 2])
      if type(r) ~= 'table' then r = r and 1 or 0 end
    else
      r = redis.pcall('SISMEMBER', key, ARGV[a + 2])
    end
  end
  a = a + 2 + n
  out[i] = said(r)
end
return out"
);

const TAKE: &str = script!(
    "
local now = redis.call('TIME')
local us = tonumber(now[1]) * 1000000 + tonumber(now[2])
if us >= tonumber(ARGV[1]) then return {-1, {}} end
local out, a = {}, 2
for i, key in ipairs(KEYS) do
  local verb, n = ARGV[a], tonumber(ARGV[a + 1])
  local r
  if verb == 'key' then
    r = redis.pcall('UNLINK', key)
  elseif verb == 'fields' then
    local fields = {}
    for j = 1, n do fields[j] = ARGV[a + 1 + j] end
    r = redis.pcall('HDEL', key, unpack(fields))
  else
    local kind = redis.pcall('TYPE', key)
    if kind.ok == 'zset' then
      r = redis.pcall('ZREM', key, ARGV[a + 2])
    else
      r = redis.pcall('SREM', key, ARGV[a + 2])
    end
  end
  a = a + 2 + n
  out[i] = said(r)
end
return {math.floor(us / 1000), out}"
);
