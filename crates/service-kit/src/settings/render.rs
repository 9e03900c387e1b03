//! The settings table, for people.

use super::Setting;
use std::fmt::Write;

const WIDTH: usize = 96;

/// The table as `--help` prints it, at most 100 columns wide.
pub fn settings_help(rows: &[Setting]) -> String {
    let mut help = String::new();
    for row in rows {
        let default = row.default.map_or("not set".to_owned(), |value| format!("default {value}"));
        let mut text = format!("{}. Allowed: {}. {default}.", row.about, row.allowed);
        if !row.aliases.is_empty() {
            let _ = write!(text, " Older spelling: {}.", row.aliases.join(", "));
        }
        let _ = writeln!(help, "  {}", row.name);
        wrap(&text, "      ", &mut help);
    }
    help
}

/// The table as Markdown, for the README.
pub fn settings_markdown(rows: &[Setting]) -> String {
    let mut table = "| variable | default | allowed | meaning |\n|---|---|---|---|\n".to_owned();
    for row in rows {
        let mut name = format!("`{}`", row.name);
        if !row.aliases.is_empty() {
            let _ = write!(name, " (older spelling `{}`)", row.aliases.join("`, `"));
        }
        let default = row.default.map_or("none".to_owned(), |value| format!("`{value}`"));
        let cells = [name, default, row.allowed.to_owned(), row.about.to_owned()];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        let _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    table
}

fn wrap(text: &str, indent: &str, out: &mut String) {
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column == 0 || column + 1 + length > WIDTH {
            if column > 0 {
                out.push('\n');
            }
            out.push_str(indent);
            column = indent.len();
        } else {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out.push('\n');
}
