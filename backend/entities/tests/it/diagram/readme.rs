//! The differences that README.md lists, as data: what the document says and what the schema does cannot part.

use std::collections::BTreeSet;

const README: &str = include_str!("../../../README.md");

/// `table.column` pairs of the first column of the table below a heading. A name without a dot is in the table
/// that was named before it.
pub(crate) fn columns_below(heading: &str) -> BTreeSet<String> {
    rows_below(heading).into_iter().flat_map(|row| columns(row[0])).collect()
}

/// Column → words: the first two columns of the table below a heading.
pub(crate) fn words_below(heading: &str) -> BTreeSet<(String, String)> {
    let mut pairs = BTreeSet::new();
    for row in rows_below(heading) {
        for column in columns(row[0]) {
            pairs.extend(in_backticks(row[1]).map(|word| (column.clone(), word.to_owned())));
        }
    }
    pairs
}

/// Names in the first column of the table below a heading.
pub(crate) fn names_below(heading: &str) -> BTreeSet<String> {
    rows_below(heading)
        .iter()
        .flat_map(|row| in_backticks(row[0]).map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn rows_below(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = README.split_once(&format!("## {heading}\n")).expect("README.md has that heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `") || line.starts_with("|`"));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn columns(cell: &'static str) -> Vec<String> {
    let mut table = "";
    let mut columns = Vec::new();
    for name in in_backticks(cell) {
        let column = match name.split_once('.') {
            Some((of, column)) => {
                table = of;
                column
            }
            None => name,
        };
        columns.push(format!("{table}.{column}"));
    }
    columns
}

fn in_backticks(cell: &'static str) -> impl Iterator<Item = &'static str> {
    cell.split('`').skip(1).step_by(2)
}
