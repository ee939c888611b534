//! What `soniquebay similar` is told to find more or less of.

/// Something with how much it counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weighed {
    pub(crate) weight: f32,
    pub(crate) what: String,
}

/// Reads "0.5*name", or a name alone, which counts once.
pub(super) fn weighed(text: &str) -> Result<Weighed, String> {
    let split = text.split_once('*').and_then(|(weight, what)| Some((weight.trim().parse::<f32>().ok()?, what)));
    let (weight, what) = split.unwrap_or((1.0, text));
    if !weight.is_finite() {
        return Err(format!("{weight} is no weight"));
    }
    match what.trim() {
        "" => Err("nothing is named".to_owned()),
        what => Ok(Weighed { weight, what: what.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::{Weighed, weighed};

    #[test]
    fn a_weight_may_stand_before_a_name() {
        let read = |text| weighed(text).map(|Weighed { weight, what }| (weight, what));
        assert_eq!(read("17"), Ok((1.0, "17".into())));
        assert_eq!(read("0.5*Air - Sexy Boy"), Ok((0.5, "Air - Sexy Boy".into())));
        assert_eq!(read("-2 * warm"), Ok((-2.0, "warm".into())));
        assert_eq!(read("N*E*R*D - Lapdance"), Ok((1.0, "N*E*R*D - Lapdance".into())));
        assert!(weighed("0.5*").is_err() && weighed(" ").is_err() && weighed("inf*x").is_err());
    }
}
