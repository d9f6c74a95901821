//! CRC-32C, by the processor where it can.

use crc::{CRC_32_ISCSI, Crc};

/// CRC-32C (Castagnoli, reflected, initial and final inversion) of `bytes`.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if hardware::is_there() {
        return hardware::crc32c(bytes);
    }
    crc32c_by_table(bytes)
}

/// One kilobyte of table: a station pays for it in flash.
static BY_TABLE: Crc<u32, crc::Table<1>> = Crc::<u32, crc::Table<1>>::new(&CRC_32_ISCSI);

fn crc32c_by_table(bytes: &[u8]) -> u32 {
    BY_TABLE.checksum(bytes)
}

#[cfg(target_arch = "x86_64")]
mod hardware {
    use core::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u16, _mm_crc32_u32, _mm_crc32_u64};

    /// Whether the processor has SSE 4.2: known while compiling, or asked once and remembered.
    #[inline]
    pub(super) fn is_there() -> bool {
        #[cfg(feature = "std")]
        return std::arch::is_x86_feature_detected!("sse4.2");
        #[cfg(not(feature = "std"))]
        return cfg!(target_feature = "sse4.2");
    }

    /// Must be called only where [`is_there`] holds.
    #[inline]
    #[expect(unsafe_code, reason = "the CRC instruction is 40 times faster than the table")]
    pub(super) fn crc32c(bytes: &[u8]) -> u32 {
        // SAFETY: the only caller has asked the processor for SSE 4.2.
        unsafe { with_sse42(bytes) }
    }

    #[inline]
    #[target_feature(enable = "sse4.2")]
    fn with_sse42(bytes: &[u8]) -> u32 {
        let (words, mut rest) = bytes.as_chunks::<8>();
        let mut crc = 0xFFFF_FFFF_u64;
        for word in words {
            crc = _mm_crc32_u64(crc, u64::from_le_bytes(*word));
        }
        let mut crc = crc as u32;
        if let Some((word, after)) = rest.split_first_chunk::<4>() {
            crc = _mm_crc32_u32(crc, u32::from_le_bytes(*word));
            rest = after;
        }
        if let Some((word, after)) = rest.split_first_chunk::<2>() {
            crc = _mm_crc32_u16(crc, u16::from_le_bytes(*word));
            rest = after;
        }
        if let [byte] = rest {
            crc = _mm_crc32_u8(crc, *byte);
        }
        !crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4, and the catalogue's check value.
    #[test]
    fn known_answers() {
        let mut ascending = [0; 32];
        ascending.iter_mut().zip(0..).for_each(|(byte, number)| *byte = number);
        let mut descending = ascending;
        descending.reverse();
        for (bytes, expected) in [
            (&b""[..], 0),
            (b"123456789", 0xE306_9283),
            (&[0; 32], 0x8A91_36AA),
            (&[0xFF; 32], 0x62A8_AB43),
            (&ascending, 0x46DD_794E),
            (&descending, 0x113F_DB5C),
        ] {
            assert_eq!(crc32c(bytes), expected);
            assert_eq!(crc32c_by_table(bytes), expected);
        }
    }

    #[test]
    fn processor_and_table_agree_at_every_length() {
        let mut bytes = [0; 300];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = (at * 167 + 13) as u8;
        }
        for end in 0..bytes.len() {
            assert_eq!(crc32c(&bytes[..end]), crc32c_by_table(&bytes[..end]), "{end} bytes");
        }
    }
}
