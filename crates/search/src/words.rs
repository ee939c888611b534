use std::ops::RangeInclusive;

use soniquebay_domain::{TrackFields, fold};

/// What typed words ask for beside names: the genres, moods and the era they name, and a text for the model.
#[derive(Debug, PartialEq)]
pub(crate) struct Words {
    /// Folded.
    words: Vec<String>,
    /// Years, where the words tell any.
    pub(crate) era: Option<RangeInclusive<i32>>,
    /// What is to be embedded.
    pub(crate) meaning: String,
}

/// Words that say of music only that it is music: the model would look for titles that hold them.
const FILLERS: [&str; 10] =
    ["music", "musique", "song", "songs", "track", "tracks", "tune", "tunes", "something", "some"];

/// Words that lead to an era, and go with it.
const CONNECTORS: [&str; 13] =
    ["from", "in", "of", "the", "early", "mid", "late", "des", "de", "les", "debut", "fin", "d"];

/// Decades in words. The twenties and the tens may be those of either century.
const DECADES: [(&str, i32); 8] = [
    ("thirties", 1930),
    ("forties", 1940),
    ("fifties", 1950),
    ("sixties", 1960),
    ("seventies", 1970),
    ("eighties", 1980),
    ("nineties", 1990),
    ("noughties", 2000),
];

/// "Années 80", "años 80", "anni 80".
const YEARS: [&str; 3] = ["annees", "anos", "anni"];

/// What follows "années", the longest first.
const FRENCH_DECADES: [(&[&str], i32); 9] = [
    (&["quatre", "vingt", "dix"], 1990),
    (&["quatre", "vingts"], 1980),
    (&["quatre", "vingt"], 1980),
    (&["soixante", "dix"], 1970),
    (&["soixante"], 1960),
    (&["cinquante"], 1950),
    (&["quarante"], 1940),
    (&["trente"], 1930),
    (&["deux", "mille"], 2000),
];

impl Words {
    pub(crate) fn read(typed: &str) -> Self {
        let words = split(typed);
        let era = (0..words.len()).find_map(|start| era_at(&words, start));
        let mut left: Vec<&str> = Vec::new();
        match &era {
            None => left.extend(words.iter().map(String::as_str)),
            Some((place, _)) => {
                left.extend(words[..place.start].iter().map(String::as_str));
                left.extend(words[place.end..].iter().map(String::as_str));
            }
        }
        let telling: Vec<&str> = left.iter().copied().filter(|word| !FILLERS.contains(word)).collect();
        let meaning = match telling.len() {
            0 => typed.to_owned(),
            // Nothing was taken out: as it was typed.
            all if all == words.len() => typed.to_owned(),
            _ => telling.join(" "),
        };
        Self { era: era.map(|(_, years)| years), words, meaning }
    }

    /// How many of the words the track's genre, moods, tags and year stand for. An era counts as one.
    pub(crate) fn named(&self, track: &TrackFields) -> usize {
        let named = |name: &String| {
            let name = split(name);
            let is_there = !name.is_empty() && self.words.windows(name.len()).any(|words| words == name);
            if is_there { name.len() } else { 0 }
        };
        let genre = track.genre.iter().chain(&track.genre_tags).map(named).max().unwrap_or(0);
        let moods: usize = track.mood_tags.iter().chain(&track.tags).map(named).sum();
        let era = self.era.as_ref().zip(track.year).is_some_and(|(era, year)| era.contains(&year));
        genre + moods + usize::from(era)
    }
}

fn split(text: &str) -> Vec<String> {
    fold(text).split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The era whose own words begin at `start`, with the place of all words that belong to it.
fn era_at(words: &[String], start: usize) -> Option<(std::ops::Range<usize>, RangeInclusive<i32>)> {
    let (length, first, last) = years_at(&words[start..])?;
    let before = &words[..start];
    let connectors = before.iter().rev().take_while(|word| CONNECTORS.contains(&word.as_str())).count();
    let from = start - connectors;
    let is_decade = last - first == 9;
    let said = |word: &str| words[from..start].iter().any(|known| known == word);
    let years = match words[..from].last().map(String::as_str) {
        Some("before" | "avant") => i32::MIN..=first - 1,
        Some("after" | "apres") => last + 1..=i32::MAX,
        Some("since" | "depuis") => first..=i32::MAX,
        _ if is_decade && (said("early") || said("debut")) => first..=first + 4,
        _ if is_decade && said("mid") => first + 3..=first + 6,
        _ if is_decade && (said("late") || said("fin")) => first + 5..=last,
        _ => return Some((from..start + length, first..=last)),
    };
    let is_open = *years.start() == i32::MIN || *years.end() == i32::MAX;
    Some((from - usize::from(is_open)..start + length, years))
}

/// Years at the beginning of `words`: how many words they take, the first and the last of them.
fn years_at(words: &[String]) -> Option<(usize, i32, i32)> {
    let word = |index: usize| words.get(index).map_or("", String::as_str);
    let decade = |length, first| Some((length, first, first + 9));
    if let Some((_, first)) = DECADES.iter().find(|(name, _)| *name == word(0)) {
        return decade(1, *first);
    }
    if YEARS.contains(&word(0)) {
        let in_words = FRENCH_DECADES
            .iter()
            .find(|(name, _)| name.iter().zip(&words[1..]).filter(|(a, b)| a == b).count() == name.len());
        return match in_words {
            Some((name, first)) => decade(1 + name.len(), *first),
            None => decade_of(word(1)).and_then(|first| decade(2, first)),
        };
    }
    // "80s", "1980s", "80er", "80's".
    let ending = ["s", "er"].iter().find_map(|ending| word(0).strip_suffix(ending));
    if let Some(first) = ending.and_then(decade_of) {
        return decade(1, first);
    }
    if word(1) == "s"
        && let Some(first) = decade_of(word(0))
    {
        return decade(2, first);
    }
    let first = year(word(0))?;
    let joined = usize::from(["to", "and", "a", "et"].contains(&word(1)));
    match year(word(1 + joined)).filter(|last| *last > first) {
        Some(last) => Some((2 + joined, first, last)),
        None => Some((1, first, first)),
    }
}

/// "80" or "1980", "00" or "2000". "20" may be either century's, and is none.
fn decade_of(digits: &str) -> Option<i32> {
    match digits {
        "00" => Some(2000),
        "10" => Some(2010),
        "30" | "40" | "50" | "60" | "70" | "80" | "90" => digits.parse::<i32>().ok().map(|decade| 1900 + decade),
        _ => year(digits).filter(|year| year % 10 == 0),
    }
}

fn year(digits: &str) -> Option<i32> {
    digits.parse().ok().filter(|year| digits.len() == 4 && (1900..2100).contains(year))
}

#[cfg(test)]
mod tests {
    use soniquebay_domain::TrackFields;

    use super::Words;

    #[test]
    fn eras_are_read_in_two_languages() {
        for (typed, first, last, meaning) in [
            ("80s synth pop", 1980, 1989, "synth pop"),
            ("jazz from the fifties", 1950, 1959, "jazz"),
            ("Rock des années 70", 1970, 1979, "rock"),
            ("rock des années soixante-dix", 1970, 1979, "rock"),
            ("années quatre-vingts", 1980, 1989, "années quatre-vingts"),
            ("variété des années quatre-vingt-dix", 1990, 1999, "variete"),
            ("90's hip hop", 1990, 1999, "hip hop"),
            ("80er Pop", 1980, 1989, "pop"),
            ("punk 1977", 1977, 1977, "punk"),
            ("pop 2010-2019", 2010, 2019, "pop"),
            ("shoegaze of the early 90s", 1990, 1994, "shoegaze"),
            ("late sixties soul", 1965, 1969, "soul"),
            ("chanson de 1960 à 1964", 1960, 1964, "chanson"),
            ("classical music before 1920", i32::MIN, 1919, "classical"),
            ("house since 2000", 2000, i32::MAX, "house"),
        ] {
            let words = Words::read(typed);
            assert_eq!((words.era, words.meaning.as_str()), (Some(first..=last), meaning), "{typed}");
        }
    }

    #[test]
    fn what_is_no_era_stays_as_it_was_typed() {
        for typed in
            ["99 Luftballons", "Song 2", "20s", "Blink-182", "7 Years", "Sixty Years On", "Les années", "1/1", ""]
        {
            assert_eq!(Words::read(typed).era, None, "{typed}");
        }
        assert_eq!(Words::read("Warm, and slow!").meaning, "Warm, and slow!");
        assert_eq!(Words::read("sad songs").meaning, "sad");
        assert_eq!(Words::read("Music").meaning, "Music", "something has to be asked");
    }

    #[test]
    fn tags_are_named_word_by_word() {
        let track = TrackFields {
            genre: Some("Synth-Pop".into()),
            genre_tags: vec!["Pop".into()],
            mood_tags: vec!["Dark".into()],
            year: Some(1984),
            ..TrackFields::default()
        };
        for (typed, named) in
            [("dark 80s synth pop", 4), ("pop", 1), ("synth", 0), ("darkness", 0), ("1985", 0), ("80s", 1), ("", 0)]
        {
            assert_eq!(Words::read(typed).named(&track), named, "{typed}");
        }
        assert_eq!(Words::read("80s").named(&TrackFields::default()), 0);
    }
}
