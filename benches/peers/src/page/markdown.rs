//! Markdown: tables, and texts that mean nothing to it.

/// `text` as it is, whatever Markdown or HTML would see in it, on one line.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(this) = rest.next() {
        let after = rest.peek().copied().unwrap_or(' ');
        let special = match this {
            '\\' | '`' | '*' | '[' | ']' | '|' | '~' => true,
            // Within a word it is a letter: spawn_join.
            '_' => !(before.is_alphanumeric() && after.is_alphanumeric()),
            // "<= 0.5" is no tag.
            '<' => after.is_alphabetic() || matches!(after, '/' | '!' | '?'),
            '&' => after.is_alphanumeric() || after == '#',
            _ => false,
        };
        if special {
            out.push('\\');
        }
        out.push(if this.is_control() { ' ' } else { this });
        before = this;
    }
    out
}

/// Lines that stand below each other in one cell.
pub(super) fn stacked(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().collect::<Vec<_>>().join("<br>")
}

/// A table of cells that are Markdown already; the first line is the head. All but the first column are
/// aligned to the right.
pub(super) fn table(lines: &[Vec<String>]) -> String {
    let Some((head, body)) = lines.split_first() else {
        return String::new();
    };
    let line = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let rule = head.iter().enumerate().map(|(column, _)| match column {
        0 => "---",
        _ => "---:",
    });
    let rule = format!("|{}|", rule.collect::<Vec<_>>().join("|"));
    let mut out = vec![line(head), rule];
    out.extend(body.iter().map(|cells| line(cells)));
    out.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_cell_or_becomes_markup() {
        assert_eq!(escape("a | b\nc"), r"a \| b c");
        assert_eq!(escape("<b> *x* [y] `z` \\"), r"\<b> \*x\* \[y\] \`z\` \\");
        assert_eq!(escape("&lt; R&D &"), r"\&lt; R\&D &");
        assert_eq!(escape("_x_"), r"\_x\_");
    }

    #[test]
    fn what_is_harmless_stays_readable() {
        for text in [
            "<= 0.50 of tokio, go",
            "spawn_join on 2",
            "select8+send",
            "a & b",
            "1 < 2",
        ] {
            assert_eq!(escape(text), text);
        }
    }

    #[test]
    fn a_table_has_a_head_a_rule_and_a_line_for_each_row() {
        let cells = |line: [&str; 2]| line.map(str::to_string).to_vec();
        let lines = [cells(["row", "ours"]), cells(["yield1", "12.3 ns"])];
        assert_eq!(
            table(&lines),
            "| row | ours |\n|---|---:|\n| yield1 | 12.3 ns |"
        );
        assert_eq!(stacked(["a".to_string(), "b".to_string()]), "a<br>b");
    }
}
