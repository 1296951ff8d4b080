//! What a process takes of the machine, as `/proc` has it.

use std::fs;

#[derive(Clone, Debug)]
pub struct Taken {
    /// What it has resident for itself, in KiB. Pages of files, such as its own text, are the system's to take back.
    pub memory: u64,
    /// What it has resident of files, in KiB.
    pub of_files: u64,
    pub threads: u64,
    pub descriptors: usize,
    /// Children that ended and were not waited for.
    pub zombies: Vec<String>,
}

/// `None`: it is gone.
pub fn taken(pid: u32) -> Option<Taken> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    Some(Taken {
        memory: number("RssAnon:")? + number("RssShmem:")?,
        of_files: number("RssFile:")?,
        threads: number("Threads:")?,
        descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count(),
        zombies: zombies(pid),
    })
}

/// A fault that passes is none: whoever ends is waited for a moment later.
fn zombies(parent: u32) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = processes.filter_map(|process| fs::read_to_string(process.path().join("stat")).ok());
    let is_one = |stat: &String| {
        // Behind the name, which may hold anything: state and parent.
        let mut words = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        words.next() == Some("Z") && words.next() == Some(&parent.to_string())
    };
    stats.filter(is_one).collect()
}

/// How fast memory grows, in KiB an hour: the line of least squares through the samples, which are (seconds, KiB).
pub fn slope(samples: &[(f64, f64)]) -> f64 {
    let count = samples.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (time, memory) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let above: f64 = samples.iter().map(|sample| (sample.0 - time) * (sample.1 - memory)).sum();
    let below: f64 = samples.iter().map(|sample| (sample.0 - time).powi(2)).sum();
    above / below * 3600.0
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_kibibyte_a_second_is_so_many_an_hour() {
        let samples: Vec<(f64, f64)> = (0..10).map(|second| (f64::from(second), 50.0 + f64::from(second))).collect();
        assert!((super::slope(&samples) - 3600.0).abs() < 1e-6);
    }
}
