//! An authority, a server's certificate and a client's, made for one test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};

/// Names and contents: `ca.crt`, `tls.crt`, `tls.key`, `client.crt`, `client.key`.
pub(crate) fn of_one_authority() -> Vec<(String, String)> {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate of the same name for its own authority.
    params.distinguished_name.push(DnType::CommonName, "an authority for one test");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let mut files = vec![("ca.crt".to_owned(), authority.pem())];
    for (name, purpose) in
        [("tls", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
    {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        // PostgreSQL takes a client for the role that its certificate names.
        params.distinguished_name.push(DnType::CommonName, "tidegate");
        let key = KeyPair::generate().unwrap();
        files.push((format!("{name}.crt"), params.signed_by(&key, &authority).unwrap().pem()));
        files.push((format!("{name}.key"), key.serialize_pem()));
    }
    files
}
