//! Removes credentials from `url.full` and `url.query`.
//!
//! These are the ones that the semantic conventions name: user and password, and the signatures in
//! pre-signed URLs of the large clouds. Secrets in other query parameters are not recognized; they do not
//! belong in a URL.

use url::Url;

const REDACTED: &str = "REDACTED";

/// Query parameters whose values are credentials: the ones that the conventions list now, and two that
/// earlier versions listed.
const SECRET_PARAMETERS: [&str; 7] = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "sig",
    "X-Goog-Signature",
    "AWSAccessKeyId",
    "Signature",
];

/// The URL without credentials.
pub(crate) fn url(url: &Url) -> String {
    let mut url = url.clone();
    // Both calls fail only for URLs that can't have a user.
    if !url.username().is_empty() && url.set_username(REDACTED).is_err() {
        return REDACTED.to_owned();
    }
    if url.password().is_some() && url.set_password(Some(REDACTED)).is_err() {
        return REDACTED.to_owned();
    }
    let query = url.query().map(query);
    url.set_query(query.as_deref());
    url.into()
}

/// The query without credentials. Parameters keep their names and their order.
pub(crate) fn query(query: &str) -> String {
    let parameters: Vec<_> = query.split('&').map(parameter).collect();
    parameters.join("&")
}

fn parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if SECRET_PARAMETERS.contains(&name) => format!("{name}={REDACTED}"),
        _ => parameter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_credentials_are_replaced() {
        let cases = [
            ("http://host/path?a=1&b", "http://host/path?a=1&b"),
            ("http://host:81/", "http://host:81/"),
            ("http://me@host/", "http://REDACTED@host/"),
            ("http://me:secret@host/", "http://REDACTED:REDACTED@host/"),
            ("http://:secret@host/", "http://:REDACTED@host/"),
            (
                "http://host/?sig=secret&a=%20",
                "http://host/?sig=REDACTED&a=%20",
            ),
            (
                "http://host/?AWSAccessKeyId=secret&Signature=secret&X-Goog-Signature=secret",
                "http://host/?AWSAccessKeyId=REDACTED&Signature=REDACTED&X-Goog-Signature=REDACTED",
            ),
            (
                "http://host/?X-Amz-Signature=s&X-Amz-Credential=s&X-Amz-Security-Token=s",
                "http://host/?X-Amz-Signature=REDACTED&X-Amz-Credential=REDACTED\
                 &X-Amz-Security-Token=REDACTED",
            ),
            (
                "http://host/?sig=secret=secret",
                "http://host/?sig=REDACTED",
            ),
            ("http://host/?sig", "http://host/?sig"),
            ("http://host/?design=1", "http://host/?design=1"),
            ("data:text/plain,hello", "data:text/plain,hello"),
        ];
        for (given, recorded) in cases {
            assert_eq!(url(&Url::parse(given).unwrap()), recorded);
        }
    }
}
