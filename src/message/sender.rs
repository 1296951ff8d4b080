//! The sender behind what others make of his address: the tags that make each message of one sender look like a new one's.

/// The sender, lower-case, without SRS0 and SRS1 (libsrs; no RFC has them) and without BATV: `prvs=`, `msprvs1=`, `btv1==`.
pub fn unwrapped(sender: &str) -> String {
    let lower = sender.to_lowercase();
    // A forwarder wraps what another one wrapped.
    let mut plain = lower;
    for _ in 0..MOST_LAYERS {
        match once(&plain) {
            Some(inner) => plain = inner,
            None => break,
        }
    }
    plain
}

/// More layers no mail has.
const MOST_LAYERS: usize = 4;

fn once(sender: &str) -> Option<String> {
    let (local, domain) = sender.rsplit_once('@')?;
    let of_forwarder = |tagged: &str| {
        // hash=time=domain=local
        let mut parts = tagged.splitn(4, '=').skip(2);
        Some(format!("{1}@{0}", parts.next()?, parts.next()?))
    };
    if let Some(rest) = local.strip_prefix("srs0").and_then(|rest| rest.strip_prefix(['=', '+', '-'])) {
        return of_forwarder(rest);
    }
    if let Some((_, inner)) = local.strip_prefix("srs1").and_then(|rest| rest.split_once("==")) {
        return of_forwarder(inner);
    }
    let tagged = ["prvs=", "msprvs1="].iter().find_map(|tag| local.strip_prefix(tag)?.split_once('='));
    let tagged = tagged.or_else(|| local.strip_prefix("btv1==")?.split_once("=="));
    tagged.map(|(_, local)| format!("{local}@{domain}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a25_tags_of_the_sender_are_unwrapped() {
        for (tagged, plain) in [
            ("Ann@X.example", "ann@x.example"),
            ("SRS0=HHH=TT=x.example=ann@forwarder.example", "ann@x.example"),
            ("SRS1=HHH=first.example==HHH=TT=x.example=ann@second.example", "ann@x.example"),
            ("prvs=1234567890=ann@x.example", "ann@x.example"),
            ("msprvs1=1234567890=ann@x.example", "ann@x.example"),
            ("btv1==abc123==ann@x.example", "ann@x.example"),
            ("SRS0=HH=TT=x.example=prvs=1234567890=ann@forwarder.example", "ann@x.example"),
            ("srs0=short@x.example", "srs0=short@x.example"),
            ("prvs=@x.example", "prvs=@x.example"),
        ] {
            assert_eq!(unwrapped(tagged), plain, "{tagged}");
        }
    }
}
