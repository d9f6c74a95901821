//! Many rows in one statement: each statement is two switches of threads, and binding many rows at once costs a
//! third of binding them one by one.

/// Few sizes, so that each statement is prepared once.
const SIZES: [usize; 7] = [64, 32, 16, 8, 4, 2, 1];

/// How many of the rows that are left go into the next statement.
pub(super) fn rows_at_once(left: usize) -> usize {
    SIZES.into_iter().find(|size| *size <= left).unwrap_or(1)
}

/// The rows, statement by statement.
pub(super) fn in_parts<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let (part, rest) = rows.split_at_checked(rows_at_once(rows.len()))?;
        rows = rest;
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_goes_once_and_in_few_statements() {
        for (count, statements) in [(0, 0), (1, 1), (7, 3), (64, 1), (127, 7), (200, 4)] {
            let rows: Vec<_> = (0..count).collect();
            let parts: Vec<_> = in_parts(&rows).collect();
            assert_eq!(parts.len(), statements, "{count}");
            assert_eq!(parts.concat(), rows);
        }
    }
}
