use soniquebay_domain::Timestamp;

/// A moment as RFC 3339 writes it, in UTC: "2026-07-01T12:00:00Z".
pub fn rfc3339(moment: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(moment.0).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::Timestamp;

    use super::rfc3339;

    #[test]
    fn moments_are_written_in_utc() {
        assert_eq!(rfc3339(Timestamp(0)), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(Timestamp(1_640_995_200_500)), "2022-01-01T00:00:00.5Z");
        assert_eq!(rfc3339(Timestamp(i64::MAX)), "1970-01-01T00:00:00Z", "no date can say it");
    }
}
