//! `[store]`: one file, or a PostgreSQL database with a way in.

use std::path::Path;

use super::secret_source::readable_file;
use super::shape;
use crate::document::Section;
use crate::store::{PasswordSource, PostgresSettings, PostgresTls, StoreSettings};

const MOST_CONNECTIONS: u32 = 1_000;

pub(super) fn read_store(top: &Section<'_>, section: Option<&Section<'_>>) -> Option<StoreSettings> {
    let Some(section) = section.filter(|section| section.has("url")) else {
        if let Some(section) = section {
            only_with_postgres(section);
        }
        return Some(StoreSettings::Sqlite(top.folder().join("tidegate.db")));
    };
    // The URL is not quoted: it may hold a password.
    let settings = section
        .parsed("url", |url| StoreSettings::from_url(url).map_err(|fault| (fault.what, fault.help)))?
        .value;
    match settings {
        StoreSettings::Sqlite(path) => {
            only_with_postgres(section);
            Some(StoreSettings::Sqlite(top.folder().join(path)))
        }
        StoreSettings::Postgres(settings) => {
            Some(StoreSettings::Postgres(Box::new(postgres(section, *settings)?)))
        }
    }
}

fn only_with_postgres(section: &Section<'_>) {
    for key in shape::STORE.keys.iter().filter(|key| **key != "url" && section.has(key)) {
        section.fault(key, format!("`{key}` is used only with PostgreSQL"), "leave it out");
    }
}

fn postgres(section: &Section<'_>, settings: PostgresSettings) -> Option<PostgresSettings> {
    let password = password(section, settings.password.clone());
    let tls = tls(section, &settings);
    let max_connections = section.number("max_connections", 2, MOST_CONNECTIONS);
    let trust_server_durability = section.flag("trust_server_durability");
    Some(PostgresSettings {
        password: password.ok()?,
        tls: tls.ok()?,
        max_connections: max_connections.unwrap_or(settings.max_connections),
        trust_server_durability: trust_server_durability.unwrap_or(false),
        ..settings
    })
}

/// What was read has a fault, which is noted.
struct Faulty;

/// One source at most.
fn password(section: &Section<'_>, in_url: Option<PasswordSource>) -> Result<Option<PasswordSource>, Faulty> {
    let file = readable_file(section, "password_file").map(|path| PasswordSource::File(path.value));
    let command = command(section);
    let written = ["password_file", "password_command"].map(|key| section.has(key));
    match (in_url, written) {
        (Some(_), [true, _] | [_, true]) => {
            section.fault("url", "a password stands in the URL and elsewhere", "take it out of the URL");
            Err(Faulty)
        }
        (_, [true, true]) => {
            let message = "`password_file` and `password_command` exclude each other";
            section.fault("password_file", message, "keep one of them");
            Err(Faulty)
        }
        (_, [true, false]) => file.map(Some).ok_or(Faulty),
        (_, [false, true]) => command.map(Some).ok_or(Faulty),
        (in_url, [false, false]) => Ok(in_url),
    }
}

fn command(section: &Section<'_>) -> Option<PasswordSource> {
    let words = section.texts("password_command")?;
    let Some(program) = words.first() else {
        section.fault("password_command", "an empty command", "such as [\"/usr/local/bin/db-token\"]");
        return None;
    };
    // Found by the search path, it could be anybody's.
    if !Path::new(program.value).is_absolute() {
        let help = "such as [\"/usr/local/bin/db-token\", \"--region\", \"eu-central-1\"]";
        section.fault_at(&program.place, "the program is no absolute path", help);
        return None;
    }
    Some(PasswordSource::Command(words.iter().map(|word| word.value.to_owned()).collect()))
}

fn tls(section: &Section<'_>, settings: &PostgresSettings) -> Result<Option<PostgresTls>, Faulty> {
    let Some(table) = section.section("tls", &shape::STORE_TLS) else {
        return if section.has("tls") { Err(Faulty) } else { Ok(settings.tls.clone()) };
    };
    let file = |key: &str| readable_file(&table, key).map(|path| path.value);
    let (ca_file, certificate, key) = (file("ca_file"), file("cert_file"), file("key_file"));
    if settings.host.is_socket() {
        section.fault("tls", "a Unix socket has no TLS", "leave it out");
        return Err(Faulty);
    }
    if settings.refuses_tls {
        section.fault("url", "`sslmode=disable` beside `tls`", "leave one of them out");
        return Err(Faulty);
    }
    let unread = ["ca_file", "cert_file", "key_file"].into_iter().zip([&ca_file, &certificate, &key]);
    if unread.into_iter().any(|(key, file)| table.has(key) && file.is_none()) {
        return Err(Faulty);
    }
    let client = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        (Some(_), None) => {
            table.fault("key_file", "missing beside `cert_file`", "the key of that certificate");
            return Err(Faulty);
        }
        (None, Some(_)) => {
            table.fault("cert_file", "missing beside `key_file`", "the certificate of that key");
            return Err(Faulty);
        }
    };
    Ok(Some(PostgresTls { ca_file, client }))
}
