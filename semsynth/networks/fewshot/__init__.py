"""FewShotSMIS (Endo and Kanamori, CGI 2022): encoder, pseudo-labels, refinement."""
