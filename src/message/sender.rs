//! Recovers the original address of a sender. Some servers add tags to it that differ for each message.

/// The sender in lower case, without the tags of SRS (SRS0 and SRS1 of libsrs, not in an RFC) and BATV (`prvs=`,
/// `msprvs1=`, `btv1==`).
pub fn unwrapped(sender: &str) -> String {
    let lower = sender.to_lowercase();
    // Several forwarders may each have added a tag.
    let mut plain = lower;
    for _ in 0..MAX_LAYERS {
        match once(&plain) {
            Some(inner) => plain = inner,
            None => break,
        }
    }
    plain
}

/// At most this many tags are removed. Real mail has no more.
const MAX_LAYERS: usize = 4;

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
