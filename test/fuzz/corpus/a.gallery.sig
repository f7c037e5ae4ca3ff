{
  "format": "lkpan_signature",
  "version": 1,
  "kind": "gallery",
  "sha256": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
  "signature": "a344dcae077e2038482de866bf0411326009f6908594d4c7877680b02db2dcaa9766936ee933651374e191dc7bc7b7a2c9860acb3de1af15379fde3a07d2c40c"
}
