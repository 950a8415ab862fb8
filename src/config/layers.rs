//! Puts the layers of settings over one another.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::keys::{self, KEYS, Key};
use super::{Checkpoint, Config, Kafka, Retentions};
use crate::error::{Error, Result};

/// Where a setting came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    /// The variable's name.
    Environment(String),
    /// The flag's name.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One setting as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    pub value: String,
    pub origin: Origin,
}

/// What settings are made from.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The file of settings: one that was asked for must exist.
    pub file: Option<PathBuf>,
    /// The variables of the environment; those that do not begin with `FOREBAY_` are passed over.
    pub environment: Vec<(String, String)>,
    /// Keys and values given by flags.
    pub flags: Vec<(&'static str, String)>,
}

/// Tables of free names.
const KAFKA_OPTIONS: &str = "kafka.options.";
const TOPICS: &str = "retention.topics.";
/// The file that is read when none is named, if it is there.
const FILE: &str = "forebay.toml";

impl Layers {
    /// The settings in force: flags over environment over file over defaults.
    ///
    /// # Errors
    /// `NotFound` when a named file is not there; `Input` when the file is no TOML, has an unknown key, or a value
    /// cannot be read: the message names the key, where its value came from and what was expected.
    pub fn config(&self) -> Result<Config> {
        let path = self.path();
        let mut file = match &path {
            Some(path) => read_file(path)?,
            None => BTreeMap::new(),
        };
        let options = table(&mut file, KAFKA_OPTIONS);
        let topics = table(&mut file, TOPICS);
        let s3 = table(&mut file, "s3.");
        let folder = path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let mut settings = Vec::with_capacity(KEYS.len());
        for key in KEYS {
            settings.push(self.setting(key, file.remove(key.name), path.as_deref(), folder));
        }
        if let (Some(path), Some(unknown)) = (&path, file.keys().next()) {
            let known: Vec<_> = KEYS.iter().map(|key| key.name).collect();
            return Err(Error::input(format!("{}: there is no setting '{unknown}'; there are {}", path.display(), known.join(", "))));
        }
        let origin = path.map_or(Origin::Default, Origin::File);
        for (table, entries) in [(KAFKA_OPTIONS, &options), (TOPICS, &topics)] {
            settings.extend(entries.iter().map(|(name, value)| shown(table, name, value, &origin)));
        }
        settings.extend(s3.iter().map(|(name, value)| shown("s3.", name, value, &origin)));
        let mut stores = self.object_stores();
        stores.extend(s3);
        typed(settings, options, &topics, stores)
    }

    /// What the variables `AWS_*` say, by their names in lower case and without that prefix; not those of other programs.
    fn object_stores(&self) -> BTreeMap<String, String> {
        let known = |name: &String| keys::S3.contains(&name.as_str());
        let variables =
            self.environment.iter().filter_map(|(name, value)| Some((name.strip_prefix("AWS_")?.to_ascii_lowercase(), value.clone())));
        variables.filter(|(name, value)| known(name) && !value.is_empty()).collect()
    }

    /// The file to read: the flag's, the environment's, or `forebay.toml` where there is one.
    fn path(&self) -> Option<PathBuf> {
        let variable = || self.variable("FOREBAY_CONFIG").map(PathBuf::from);
        let found = || Some(PathBuf::from(FILE)).filter(|path| path.is_file());
        self.file.clone().or_else(variable).or_else(found)
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(variable, _)| variable == name).map(|(_, value)| value.as_str())
    }

    fn setting(&self, key: &Key, in_file: Option<String>, path: Option<&Path>, folder: &Path) -> Setting {
        let of_folder = |text: String| match key.is_path {
            true => keys::resolved(folder, &text).display().to_string(),
            false => text,
        };
        let variable = key.variable();
        let (value, origin) = if let Some((_, value)) = self.flags.iter().find(|(name, _)| *name == key.name) {
            (value.clone(), Origin::Flag(format!("--{}", key.name)))
        } else if let Some(value) = self.variable(&variable) {
            (value.to_owned(), Origin::Environment(variable))
        } else if let (Some(value), Some(path)) = (in_file, path) {
            (of_folder(value), Origin::File(path.to_owned()))
        } else {
            (of_folder(key.default.to_owned()), Origin::Default)
        };
        Setting { key: key.name.to_owned(), value, origin }
    }
}

/// An entry of a table, without what nobody is to see.
fn shown(table: &str, name: &str, value: &str, origin: &Origin) -> Setting {
    let is_secret = ["secret", "token", "password", "access_key", ".pem"].iter().any(|word| name.contains(word));
    let value = if is_secret { "(not shown)" } else { value };
    Setting { key: format!("{table}{name}"), value: value.to_owned(), origin: origin.clone() }
}

/// Takes a table of names that are not ours out of the file's values.
fn table(file: &mut BTreeMap<String, String>, prefix: &str) -> BTreeMap<String, String> {
    let (options, values): (BTreeMap<_, _>, BTreeMap<_, _>) =
        std::mem::take(file).into_iter().partition(|(key, _)| key.starts_with(prefix));
    *file = values;
    options.into_iter().map(|(key, value)| (key[prefix.len()..].to_owned(), value)).collect()
}

/// The file's values as text by dotted key.
fn read_file(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Error::not_found(format!("there is no file of settings {}: name another with --config, or write one", path.display()))
        }
        _ => Error::input(format!("{} cannot be read: {error}", path.display())),
    })?;
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| Error::input(format!("{} is no toml: {}", path.display(), error.to_string().trim())))?;
    let mut values = BTreeMap::new();
    flatten("", &table, &mut values);
    Ok(values)
}

fn flatten(prefix: &str, table: &toml::Table, values: &mut BTreeMap<String, String>) {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            toml::Value::Table(inner) => flatten(&format!("{key}."), inner, values),
            toml::Value::String(text) => drop(values.insert(key, text.clone())),
            other => drop(values.insert(key, other.to_string())),
        }
    }
}

fn typed(
    settings: Vec<Setting>,
    options: BTreeMap<String, String>,
    topics: &BTreeMap<String, String>,
    s3: BTreeMap<String, String>,
) -> Result<Config> {
    fn read<T>(settings: &[Setting], key: &str, read: impl Fn(&str) -> Result<T>) -> Result<T> {
        let setting = settings.iter().find(|setting| setting.key == key);
        let setting = setting.ok_or_else(|| Error::internal(format!("setting {key} is not listed")))?;
        read(&setting.value).map_err(|error| error.context(format!("setting {key} (from {})", setting.origin)))
    }
    let text = |text: &str| Ok(text.to_owned());
    let address = |text: &str| {
        text.parse().map_err(|_| Error::input(format!("expected an address and a port such as 127.0.0.1:8090, found '{text}'")))
    };
    let at_least_one = |text: &str| match keys::number(text)? {
        0 => Err(Error::input("expected at least 1, found '0'")),
        number => Ok(number),
    };
    let topic = |(name, _): (&String, &String)| Ok((name.clone(), read(&settings, &format!("{TOPICS}{name}"), keys::retention)?));
    let retention = Retentions {
        sources: read(&settings, "retention.sources", keys::retention)?,
        predictions: read(&settings, "retention.predictions", keys::retention)?,
        drift: read(&settings, "retention.drift", keys::retention)?,
        dead_letters: read(&settings, "retention.dead_letters", keys::retention)?,
        topics: topics.iter().map(topic).collect::<Result<_>>()?,
    };
    Ok(Config {
        data: read(&settings, "data", text)?.into(),
        features: read(&settings, "features", text)?.into(),
        listen: read(&settings, "listen", address)?,
        output: read(&settings, "output", keys::output)?,
        log: read(&settings, "log", text)?,
        log_json: read(&settings, "log_json", keys::boolean)?,
        kafka: Kafka { bootstrap: read(&settings, "kafka.bootstrap", text)?, options },
        commit_interval: read(&settings, "commit_interval", keys::duration)?,
        batch_events_max: read(&settings, "batch_events_max", at_least_one)?,
        shards: read(&settings, "shards", keys::number)?,
        state_memory_bytes: read(&settings, "state_memory", keys::bytes)?,
        flush_interval: read(&settings, "flush_interval", keys::duration)?,
        offline_interval: read(&settings, "offline_interval", keys::duration)?,
        intake_bytes: read(&settings, "intake_memory", keys::bytes)?,
        outbox_bytes_max: read(&settings, "outbox_max", keys::bytes)?,
        retention,
        request_bytes_max: read(&settings, "request_max", keys::bytes)?,
        ready_when: read(&settings, "ready_when", keys::ready_when)?,
        long_lookups_max: read(&settings, "long_lookups_max", at_least_one)?,
        waiting_lookups_max: read(&settings, "waiting_lookups_max", at_least_one)?,
        bodies_bytes_max: read(&settings, "bodies_max", keys::bytes)?,
        records_max: read(&settings, "records_max", at_least_one)?,
        connections_max: read(&settings, "connections_max", at_least_one)?,
        header_timeout: read(&settings, "header_timeout", keys::timeout)?,
        body_timeout: read(&settings, "body_timeout", keys::timeout)?,
        idle_timeout: read(&settings, "idle_timeout", keys::timeout)?,
        shutdown_delay: read(&settings, "shutdown_delay", keys::duration)?,
        checkpoint: Checkpoint {
            to: read(&settings, "checkpoint_to", text)?,
            every: read(&settings, "checkpoint_every", keys::interval)?,
            keep: read(&settings, "checkpoint_keep", at_least_one)?,
            patience: read(&settings, "checkpoint_patience", keys::duration)?,
        },
        s3,
        sort_memory_bytes: read(&settings, "sort_memory", keys::bytes)?,
        settings,
    })
}
