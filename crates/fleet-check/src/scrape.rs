//! Reading a page of metrics in Prometheus' text format.

/// The sum of a metric's series that have this label with this value; none when there is no such
/// series. A label's value is compared as it is written, so it must need no escape.
pub(crate) fn sum(page: &str, metric: &str, label: &str, value: &str) -> Option<f64> {
    let wanted = format!("{label}=\"{value}\"");
    let number = |line: &str| {
        let (labels, rest) = line.strip_prefix(metric)?.strip_prefix('{')?.split_once('}')?;
        let found = labels.split(',').any(|pair| pair == wanted);
        found.then(|| rest.split_whitespace().next()?.parse::<f64>().ok())?
    };
    page.lines().filter_map(number).reduce(|sum, number| sum + number)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"# HELP dlq_messages_arrived_total Dead letters.
# TYPE dlq_messages_arrived_total counter
dlq_messages_arrived_total{queue="dead",reason="forced"} 2
dlq_messages_arrived_total{queue="dead",reason="unknown"} 1 1700000000000
dlq_messages_arrived_total{queue="dead.fifo",reason="forced"} 8
dlq_messages_arrived_total_more{queue="dead"} 16
up 1
"#;

    #[test]
    fn the_series_of_one_queue_are_added_up_whatever_their_other_labels() {
        assert_eq!(sum(PAGE, "dlq_messages_arrived_total", "queue", "dead"), Some(3.0));
        assert_eq!(sum(PAGE, "dlq_messages_arrived_total", "queue", "dead.fifo"), Some(8.0));
    }

    #[test]
    fn a_series_that_is_not_there_is_not_taken_for_zero() {
        assert_eq!(sum(PAGE, "dlq_messages_arrived_total", "queue", "orders"), None);
        assert_eq!(sum(PAGE, "dlq_messages", "queue", "dead"), None);
        assert_eq!(sum("", "up", "queue", "dead"), None);
    }
}
