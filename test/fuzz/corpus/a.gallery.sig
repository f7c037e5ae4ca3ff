{
  "format": "lkpan_signature",
  "version": 1,
  "kind": "gallery",
  "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
  "signature": "ebe037d06d598227085e756077aad596b13d9d6527e22dfb6ef41daf9422a6332ad1549f71c23c674a8f1380af09ebdf78e0188f02f37bd09fea9f86a8bc7502"
}
