//! Reads numbers out of the Prometheus text, as any scraper would.

/// The sum of a counter over all label sets that contain `label="value"`; `None` when there is none.
pub(super) fn sum(exposition: &str, name: &str, label: &str, value: &str) -> Option<f64> {
    let wanted = format!("{label}=\"{value}\"");
    let mut total = None;
    for line in exposition.lines() {
        let Some(rest) = line.strip_prefix(name).and_then(|rest| rest.strip_prefix('{')) else { continue };
        let Some((labels, number)) = rest.rsplit_once('}') else { continue };
        // Names and values of the labels that are looked for have neither commas nor quotes inside.
        if !labels.split(',').any(|pair| pair == wanted) {
            continue;
        }
        let number = number.split_whitespace().next().and_then(|number| number.parse::<f64>().ok());
        total = number.map(|number| number + total.unwrap_or(0.0)).or(total);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_the_other_labels() {
        let text = "# TYPE chaos_injected_faults_total counter
chaos_injected_faults_total{cluster=\"b\",kind=\"delay\",rule=\"slow-b\"} 3
chaos_injected_faults_total{cluster=\"c\",kind=\"delay\",rule=\"slow-b\"} 4
chaos_injected_faults_total{cluster=\"c\",kind=\"delay\",rule=\"slow-bb\"} 100
chaos_injected_faults_total_other{rule=\"slow-b\"} 100
";
        assert_eq!(sum(text, "chaos_injected_faults_total", "rule", "slow-b"), Some(7.0));
        assert_eq!(sum(text, "chaos_injected_faults_total", "rule", "absent"), None);
    }
}
