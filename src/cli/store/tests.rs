use super::*;

#[test]
fn a_password_among_the_arguments_is_refused_and_not_repeated() {
    let refusal = place(Some("postgres://me:hunter2@127.0.0.1/x"), None).unwrap_err().to_string();
    assert!(refusal.contains("`password_file`") && !refusal.contains("hunter2"), "{refusal}");
    assert!(place(Some("postgres://me@127.0.0.1/x"), None).is_ok());
}

#[test]
fn the_url_of_this_call_goes_before_a_file_of_the_environment() {
    let found = place(Some("sqlite:here.db"), Some(Path::new("/nowhere/tidegate.toml"))).unwrap();
    assert!(matches!(found, StoreSettings::Sqlite(path) if path == Path::new("here.db")));
    assert!(place(None, Some(Path::new("/nowhere/tidegate.toml"))).is_err());
    assert!(place(None, None).is_err());
}
