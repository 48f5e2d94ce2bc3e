"""Networks of ffbp, as C2RCC and the Case-2 Regional processors have them."""
