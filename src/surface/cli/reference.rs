//! The command line's reference, made from the definitions that clap reads: `docs/cli.md` is this text.

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use super::Cli;

const HEAD: &str = "# The command line

Generated: `cargo test --test it` compares it, `QUIETUS_UPDATE=1` writes it anew.

stdout is data, stderr is talk. Every verb that prints takes `--json`. Exit codes:

| code | means |
|---|---|
| 0 | yes, or done |
| 1 | the answer is no, or it failed in part; a `check` verb prints each error as `FILE:LINE:COL: …` |
| 2 | wrong usage or configuration: the message names file, line or flag, and the remedy |
| 3 | could not find out (unreachable, timeout, not allowed, overloaded): nothing is known, a retry is safe |
";

/// Markdown.
pub fn reference() -> String {
    let mut command = Cli::command();
    command.build();
    let mut out = HEAD.to_owned();
    section(&command, "", &mut out);
    out
}

fn section(command: &Command, path: &str, out: &mut String) {
    let verbs: Vec<&Command> = command.get_subcommands().filter(|c| !c.is_hide_set()).collect();
    let name = [path, command.get_name()].join(" ").trim().to_owned();
    if verbs.is_empty() {
        entry(command, &name, out);
    }
    for verb in verbs {
        section(verb, &name, out);
    }
}

fn entry(command: &Command, name: &str, out: &mut String) {
    let shown =
        |arg: &&Arg| !arg.is_hide_set() && !["help", "version", "json"].contains(&arg.get_id().as_str());
    let args: Vec<&Arg> = command.get_arguments().filter(shown).collect();
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    // Writing to a String cannot fail.
    let _ = write!(out, "\n## `{}`\n\n{about}\n", usage(name, &args));
    if !args.is_empty() {
        out.push_str("\n| | |\n|---|---|\n");
    }
    for arg in args {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let env = arg.get_env().map(|e| format!(" (`{}`)", e.to_string_lossy())).unwrap_or_default();
        let defaults: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
        let default = match defaults.is_empty() || !arg.get_action().takes_values() {
            true => String::new(),
            false => format!(" [default: `{}`]", defaults.join(" ")),
        };
        let words = arg.get_possible_values();
        let words = match words.is_empty() || !arg.get_action().takes_values() {
            true => String::new(),
            false => format!(": {}", words.iter().map(|w| w.get_name()).collect::<Vec<_>>().join(", ")),
        };
        let _ = writeln!(out, "| `{}` | {help}{words}{env}{default} |", plain(arg).replace('|', "\\|"));
    }
}

fn usage(name: &str, args: &[&Arg]) -> String {
    let worded = args.iter().map(|arg| match (arg.is_required_set(), arg.is_positional()) {
        (true, _) => plain(arg),
        (false, true) => format!("[{}]", plain(arg)),
        (false, false) => String::new(),
    });
    let words: Vec<String> =
        std::iter::once(name.to_owned()).chain(worded.filter(|w| !w.is_empty())).collect();
    let options = args.iter().any(|arg| !arg.is_positional() && !arg.is_required_set());
    format!("{}{}", words.join(" "), if options { " [options]" } else { "" })
}

/// `--flag VALUE` or `VALUE`.
fn plain(arg: &Arg) -> String {
    let values: Vec<_> = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let values = if arg.get_action().takes_values() { values.join(" ") } else { String::new() };
    match arg.get_long() {
        Some(long) => format!("--{long} {values}").trim().to_owned(),
        None => values,
    }
}
