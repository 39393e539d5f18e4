//! TLS ends in the node, with a certificate that can be changed while it serves.

use quietus::surface::http::{Certificate, HttpConfig, TlsError, bind, serve_on};
use quietus_test_servers::Authority;

use super::*;

fn believing(authority: &Authority) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(authority.certificate.as_bytes()).unwrap();
    reqwest::Client::builder().tls_certs_only([root]).timeout(Duration::from_secs(5)).build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_believes_the_certificate_is_served_and_a_new_one_holds_at_once() {
    let w = World::empty(vec![]).await;
    let (one, two) = (Authority::new().unwrap(), Authority::new().unwrap());
    let pair = one.issue().unwrap();
    let certificate = Certificate::new(&pair.chain, &pair.key).unwrap();
    let config = HttpConfig { listen: "127.0.0.1:0".parse().unwrap(), tokens: vec![] };
    let listener = bind(&config).await.unwrap();
    let at = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let ending = async move {
        let _ = stopped.await;
    };
    let served = serve_on(listener, Some(Arc::clone(&certificate)), Arc::clone(&w.node), vec![], ending);
    let serving = tokio::spawn(served);
    let get = async |client: &reqwest::Client, scheme: &str| {
        client.get(format!("{scheme}://{at}/healthz")).send().await.map(|a| a.status().as_u16()).ok()
    };
    // Somebody who connects and says nothing keeps nobody waiting.
    let silent = tokio::net::TcpStream::connect(at).await.unwrap();
    assert_eq!(get(&believing(&one), "https").await, Some(200));
    assert_eq!(get(&believing(&two), "https").await, None, "nobody vouches for it");
    assert_eq!(get(&believing(&one), "http").await, None, "nothing is served in clear");

    let new = two.issue().unwrap();
    assert_eq!(certificate.renew(&new.chain, &pair.key), Err(TlsError::Pair));
    assert_eq!(get(&believing(&one), "https").await, Some(200), "the old one stays");
    certificate.renew(&new.chain, &new.key).unwrap();
    assert_eq!(get(&believing(&two), "https").await, Some(200));
    assert_eq!(get(&believing(&one), "https").await, None);
    drop(silent);
    stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(15), serving).await.unwrap().unwrap();
    assert!(ended.is_ok(), "{ended:?}");
}

#[test]
fn what_is_no_pair_is_told_apart() {
    let pair = Authority::new().unwrap().issue().unwrap();
    let why = |chain: &str, key: &str| Certificate::new(chain, key).unwrap_err();
    assert_eq!(why("", &pair.key), TlsError::Chain);
    assert_eq!(why(&pair.key, &pair.key), TlsError::Chain);
    assert_eq!(why(&pair.chain, &pair.chain), TlsError::Key);
    assert!(
        !why(&pair.chain, "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n")
            .to_string()
            .is_empty()
    );
}
