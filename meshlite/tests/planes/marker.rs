//! Finds a private key in anything, however it was written.

use k8s_openapi::ByteString;

/// What gives a private key away: a part of its secret number in every form in which bytes are written.
pub(crate) struct Marker {
    forms: Vec<(&'static str, String)>,
    raw: Vec<u8>,
}

impl Marker {
    /// Of a P-256 key in PKCS#8 (DER), and the PEM that a Secret holds.
    pub(crate) fn new(der: &[u8], pem: &str) -> Self {
        let number = der.windows(2).position(|header| header == [0x04, 0x20]);
        let number = number.expect("a P-256 key") + 2;
        // Base64 of the whole takes three bytes at a time.
        let start = number.next_multiple_of(3);
        let raw = der[start..start + 24].to_vec();
        let in_pem = base64(&raw);
        let at = pem.replace('\n', "").find(&in_pem);
        at.expect("the PEM is of this key");
        // Base64 of the PEM, from a line that holds nothing but the number.
        let line = pem.lines().nth(2).expect("a second line of the key");
        let start = pem.find(line).expect("its own line").next_multiple_of(3);
        let bytes: Vec<_> = raw.iter().map(u8::to_string).collect();
        let hex: Vec<_> = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        let forms = vec![
            ("base64 of its DER", in_pem),
            (
                "base64 of its PEM",
                base64(&pem.as_bytes()[start..start + 15]),
            ),
            ("a list of bytes", bytes[..12].join(",")),
            ("hexadecimal", hex[..12].concat()),
        ];
        Self { forms, raw }
    }

    /// In which form the key is in it. Blanks and line breaks hide nothing.
    pub(crate) fn found_in(&self, content: &[u8]) -> Option<&'static str> {
        if content.windows(12).any(|window| window == &self.raw[..12]) {
            return Some("raw bytes");
        }
        let text = String::from_utf8_lossy(content).replace("\\n", "");
        let text: String = text.split_whitespace().collect();
        let lower = text.to_lowercase();
        let is_there = |form: &&(&str, String)| text.contains(&form.1) || lower.contains(&form.1);
        self.forms.iter().find(is_there).map(|(name, _)| *name)
    }
}

fn base64(bytes: &[u8]) -> String {
    let json = serde_json::to_value(ByteString(bytes.to_vec())).expect("bytes are JSON");
    json.as_str().expect("as a string").to_owned()
}

#[test]
fn a_key_is_found_in_every_form() {
    let key = rcgen::KeyPair::generate().expect("a key");
    let (der, pem) = (key.serialize_der(), key.serialize_pem());
    let marker = Marker::new(&der, &pem);
    let indented = pem.replace('\n', "\n    ");
    for (content, form) in [
        (der.clone(), "raw bytes"),
        (pem.clone().into_bytes(), "base64 of its DER"),
        (indented.into_bytes(), "base64 of its DER"),
        (format!("{pem:?}").into_bytes(), "base64 of its DER"),
        (base64(pem.as_bytes()).into_bytes(), "base64 of its PEM"),
        (format!("{der:?}").into_bytes(), "a list of bytes"),
        (format!("{der:#?}").into_bytes(), "a list of bytes"),
        (format!("{der:02X?}").into_bytes(), "none"),
    ] {
        assert_eq!(marker.found_in(&content).unwrap_or("none"), form);
    }
    assert_eq!(marker.found_in(key.public_key_pem().as_bytes()), None);
}
