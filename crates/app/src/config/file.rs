//! The file: TOML, a section for each heading of the help.

use std::path::{Path, PathBuf};

use anyhow::Context;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::schema::{Setting, is_switch};
use crate::exit::End;

/// No file of settings is longer.
const LONGEST: u64 = 256 * 1024;

/// What can be said in no file: where the file is.
const NEVER: &str = "SONIQUEBAY_CONFIG";

/// What a file in the data folder cannot say: where the data folder is.
const NOT_INSIDE: &str = "SONIQUEBAY_DATA";

/// Settings that a file says.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    pub(crate) entries: Vec<Entry>,
}

/// One setting of a file.
#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) env: String,
    pub(crate) values: Vec<String>,
    /// From 1.
    pub(crate) line: usize,
}

impl ConfigFile {
    /// # Errors
    /// Where the file cannot be read, or for all that is wrong in it, a line each.
    pub(crate) fn read(path: &Path, in_data_folder: bool, schema: &[Setting]) -> anyhow::Result<Self> {
        let context = || format!("the configuration file {} cannot be read", path.display());
        let size = std::fs::metadata(path).with_context(context)?.len();
        if size > LONGEST {
            let message = format!("{} has {size} bytes: that is no configuration file", path.display());
            return Err(End::Usage(message).into());
        }
        let text = std::fs::read_to_string(path).with_context(context)?;
        let reader = Reader { path: path.to_owned(), text: &text, in_data_folder, schema };
        Ok(Self { entries: reader.read().map_err(|faults| End::Usage(faults.join("\n")))? })
    }
}

struct Reader<'a> {
    path: PathBuf,
    text: &'a str,
    in_data_folder: bool,
    schema: &'a [Setting],
}

impl Reader<'_> {
    fn read(&self) -> Result<Vec<Entry>, Vec<String>> {
        let table = DeTable::parse(self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            vec![self.fault(self.line(at), error.message().trim())]
        })?;
        let (mut entries, mut faults) = (Vec::new(), Vec::new());
        for (key, value) in table.get_ref() {
            match value.get_ref() {
                DeValue::Table(section) => self.read_section(key, section, &mut entries, &mut faults),
                _ => self.read_entry(None, key, value, &mut entries, &mut faults),
            }
        }
        // In the order of the file: tables are sorted by name.
        faults.sort_by_key(|(line, _): &(usize, String)| *line);
        if faults.is_empty() { Ok(entries) } else { Err(faults.into_iter().map(|(_, fault)| fault).collect()) }
    }

    fn read_section(
        &self,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        section: &DeTable<'_>,
        entries: &mut Vec<Entry>,
        faults: &mut Vec<(usize, String)>,
    ) {
        let known: Vec<&str> = self.schema.iter().filter_map(|setting| setting.section.as_deref()).collect();
        if !known.contains(&name.get_ref().as_ref()) {
            let line = self.line(name.span().start);
            let near = nearest(name.get_ref(), known).map(|near| format!("; did you mean [{near}]?"));
            let message = format!("there is no section [{}]{}", name.get_ref(), near.unwrap_or_default());
            faults.push((line, self.fault(line, &message)));
            return;
        }
        for (key, value) in section {
            self.read_entry(Some(name.get_ref()), key, value, entries, faults);
        }
    }

    fn read_entry(
        &self,
        section: Option<&str>,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
        entries: &mut Vec<Entry>,
        faults: &mut Vec<(usize, String)>,
    ) {
        let line = self.line(key.span().start);
        let name = section.map_or_else(|| key.get_ref().to_string(), |section| format!("{section}.{}", key.get_ref()));
        let found = self.schema.iter().find(|setting| setting.name() == name && setting.env != NEVER);
        let result = match found {
            None => Err(self.unknown(&name)),
            Some(setting) if setting.env == NOT_INSIDE && self.in_data_folder => {
                Err(format!("{name}: this file lies in the data folder, and cannot say where that is"))
            }
            Some(setting) => values(value.get_ref())
                .and_then(|values| check(setting, value.get_ref(), &values).map(|()| values))
                .map(|values| Entry { env: setting.env.clone(), values, line })
                .map_err(|reason| format!("{name} = {}: {reason}", shown(setting, value.get_ref()))),
        };
        match result {
            // Nothing is said by an empty text, as by an empty variable.
            Ok(entry) if entry.values.iter().all(|value| value.trim().is_empty()) => {}
            Ok(entry) => entries.push(entry),
            Err(message) => faults.push((line, self.fault(line, &message))),
        }
    }

    fn unknown(&self, name: &str) -> String {
        let known: Vec<String> = self.schema.iter().filter(|setting| setting.env != NEVER).map(Setting::name).collect();
        // The right key in the wrong section is nearer than any key of that section.
        let key = name.rsplit('.').next().unwrap_or(name);
        let elsewhere = known.iter().find(|known| known.rsplit('.').next() == Some(key)).map(String::as_str);
        let near = elsewhere.or_else(|| nearest(name, known.iter().map(String::as_str)));
        let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        format!("{name}: there is no such setting{near}")
    }

    fn fault(&self, line: usize, message: &str) -> String {
        format!("{}:{line}: {message}", self.path.display())
    }

    fn line(&self, at: usize) -> usize {
        self.text.as_bytes()[..at.min(self.text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Less alike, a suggestion only confuses.
    const ALIKE: f64 = 0.7;
    let rated = known.into_iter().map(|known| (strsim::jaro_winkler(name, known), known));
    rated.filter(|(alike, _)| *alike > ALIKE).max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, known)| known)
}

/// The value as a command line would say it.
fn values(value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match value {
        DeValue::Array(array) => {
            let each = array.iter().map(|value| match value.get_ref() {
                DeValue::Array(_) => Err("a list of lists means nothing here".to_owned()),
                value => values(value),
            });
            Ok(each.collect::<Result<Vec<_>, _>>()?.concat())
        }
        DeValue::String(text) => Ok(vec![text.to_string()]),
        DeValue::Boolean(is_on) => Ok(vec![is_on.to_string()]),
        DeValue::Integer(number) if number.radix() == 10 => Ok(vec![number.as_str().to_owned()]),
        DeValue::Integer(_) => Err("write the number with digits alone".to_owned()),
        DeValue::Float(number) => Ok(vec![number.as_str().to_owned()]),
        DeValue::Datetime(_) | DeValue::Table(_) => Err(format!("a {} means nothing here", value.type_str())),
    }
}

fn check(setting: &Setting, value: &DeValue<'_>, values: &[String]) -> Result<(), String> {
    if values.iter().all(|value| value.trim().is_empty()) {
        return Ok(());
    }
    if is_switch(&setting.arg) && !value.is_bool() {
        return Err("it is true or false, without quotation marks".to_owned());
    }
    setting.check(values)
}

/// The value as a message may show it.
fn shown(setting: &Setting, value: &DeValue<'_>) -> String {
    let text = values(value).unwrap_or_default().join(", ");
    let text: String = super::masked(&setting.env, &text).chars().take(80).collect();
    if value.is_str() { format!("{text:?}") } else { text }
}
