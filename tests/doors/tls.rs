//! The public listener over TLS: its certificate, its replacement, and clients' certificates.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use reqwest::{Certificate, Client, Identity};

use crate::world::{Answer, World};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// Certificate and key of a leaf, as PEM.
    fn leaf(&self, purpose: ExtendedKeyUsagePurpose) -> (String, String) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

fn client(trusts: &Authority, identity: Option<(String, String)>) -> Client {
    let builder = Client::builder()
        .no_proxy()
        .tls_certs_only([Certificate::from_pem(trusts.pem().as_bytes()).unwrap()])
        .min_tls_version(reqwest::tls::Version::TLS_1_2);
    match identity {
        None => builder.build().unwrap(),
        Some((cert, key)) => {
            builder.identity(Identity::from_pem(format!("{cert}{key}").as_bytes()).unwrap()).build().unwrap()
        }
    }
}

fn url(world: &World, path: &str) -> String {
    format!("https://localhost:{}{path}", world.running().public_address().port())
}

const FILES: &str = "cert_file = \"tls.crt\"\nkey_file = \"tls.key\"\nclient_ca_file = \"clients.crt\"";

#[tokio::test]
async fn a_replaced_certificate_is_served_and_a_broken_one_never() {
    tidegate::server::install_crypto_provider();
    let (first, second, clients) =
        (Authority::new("first"), Authority::new("second"), Authority::new("clients"));
    let (cert, key) = first.leaf(ExtendedKeyUsagePurpose::ServerAuth);
    let world = World::start_with_tls(
        FILES,
        &[("tls.crt", &cert), ("tls.key", &key), ("clients.crt", &clients.pem())],
    )
    .await;
    let fetch =
        async |trusts: &Authority| client(trusts, None).get(url(&world, "/log/key")).send().await.is_ok();
    assert!(fetch(&first).await && !fetch(&second).await);

    world.write("tls.crt", "rubbish");
    world.reload().await;
    assert!(fetch(&first).await, "the old one stays");

    let (cert, key) = second.leaf(ExtendedKeyUsagePurpose::ServerAuth);
    world.write("tls.crt", &cert);
    world.write("tls.key", &key);
    world.reload().await;
    assert!(fetch(&second).await && !fetch(&first).await);
}

#[tokio::test]
async fn a_client_certificate_of_another_authority_is_refused_and_a_good_one_is_seen() {
    tidegate::server::install_crypto_provider();
    let (server, clients, others) =
        (Authority::new("server"), Authority::new("clients"), Authority::new("others"));
    let (cert, key) = server.leaf(ExtendedKeyUsagePurpose::ServerAuth);
    let required = format!("{FILES}\nclient_auth = \"required\"");
    let files = [("tls.crt", cert.as_str()), ("tls.key", &key), ("clients.crt", &clients.pem())];
    let world = World::start_with_tls(&required, &files).await;
    let get = async |identity| client(&server, identity).get(url(&world, "/log/key")).send().await;
    assert!(get(None).await.is_err(), "none");
    assert!(
        get(Some(others.leaf(ExtendedKeyUsagePurpose::ClientAuth))).await.is_err(),
        "another authority's"
    );
    assert!(get(Some(clients.leaf(ExtendedKeyUsagePurpose::ClientAuth))).await.is_ok());
}

#[tokio::test]
async fn policy_can_demand_one_client_certificate_by_its_thumbprint() {
    use base64::Engine as _;
    tidegate::server::install_crypto_provider();
    let (server, clients) = (Authority::new("server"), Authority::new("clients"));
    let (cert, key) = server.leaf(ExtendedKeyUsagePurpose::ServerAuth);
    let (allowed, another) = (
        clients.leaf(ExtendedKeyUsagePurpose::ClientAuth),
        clients.leaf(ExtendedKeyUsagePurpose::ClientAuth),
    );
    let files = [("tls.crt", cert.as_str()), ("tls.key", &key), ("clients.crt", &clients.pem())];
    let world = World::start_with_tls(FILES, &files).await;
    let der = pem_bytes(&allowed.0);
    let print = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .encode(tidegate::secret::Fingerprint::of(&der).as_bytes());
    world.write(
        "policies/customer/main.cedar",
        &format!(
            "permit (principal, action == Tidegate::Action::\"issue\", resource == Tidegate::Grant::\"ledger-api\") \
             when {{ context has client_cert && context.client_cert == \"{print}\" }};"
        ),
    );
    world.reload().await;
    let exchange = async |identity| {
        let token = world.token("billing");
        let form = world.form(&token, "ledger-api");
        Answer::of(
            client(&server, identity).post(url(&world, "/oauth2/token")).form(&form).send().await.unwrap(),
        )
        .await
    };
    exchange(None).await.refused(400, "invalid_target");
    exchange(Some(another)).await.refused(400, "invalid_target");
    exchange(Some(allowed)).await.issued();
}

fn pem_bytes(pem: &str) -> Vec<u8> {
    use base64::Engine as _;
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    base64::engine::general_purpose::STANDARD.decode(body).unwrap()
}
