//! The figures as they are printed: each with what it is beside, or with its goal.

/// Lines that are printed as they come.
pub(super) struct Table;

impl Table {
    /// What the next lines are about, and the heads of their two columns.
    pub(super) fn title(&mut self, title: &str, ours: &str, other: &str) {
        println!("\n{title}");
        println!("{:<64} {:>13} {:>13} {:>7}  goal", "", ours, other, "ratio");
    }

    /// A figure beside another.
    pub(super) fn beside(&mut self, name: &str, ours: f64, other: f64, goal: &str) {
        let ratio = ours / other;
        let line = format!("{name:<64} {:>13} {:>13} {ratio:>7.2}  {goal}", number(ours), number(other));
        println!("{}", line.trim_end());
    }

    /// A figure by itself.
    pub(super) fn line(&mut self, name: &str, ours: f64, goal: &str) {
        let line = format!("{name:<64} {:>13} {:>13} {:>7}  {goal}", number(ours), "", "");
        println!("{}", line.trim_end());
    }
}

fn number(value: f64) -> String {
    // The sum of nothing is -0.
    let value = value + 0.0;
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
