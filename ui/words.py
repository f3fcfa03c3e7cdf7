"""The page's words in Spanish, for whoever's browser asks for them; the English ones stand where they are used.

Sentences about a person's own pictures, which are made as they go, are in English alone.
"""

from typing import Any

import gradio as gr

SPANISH = {
    "Repaint": "Repintar",
    "Advanced": "Avanzado",
    "Contribute": "Contribuir",
    "About": "Acerca de",
    "<h1>Repaint</h1><p>Your photograph, in the manner of a painting.</p>": (
        "<h1>Repaint</h1><p>Su fotografía, a la manera de un cuadro.</p>"
    ),
    "Photograph": "Fotografía",
    "Drop a photograph here, paste one\nor press to choose": "Suelte aquí una fotografía, péguela\no pulse para elegir",
    "Or try one of these": "O pruebe una de estas",
    "Style": "Estilo",
    "Before and after": "Antes y después",
    "<p><b>Your picture appears here</b>Choose a photograph, or try one of the examples.</p>": (
        "<p><b>Su imagen aparecerá aquí</b>Elija una fotografía o pruebe uno de los ejemplos.</p>"
    ),
    "Copy link": "Copiar enlace",
    "Link copied": "Enlace copiado",
    "Copied, without your style": "Copiado, sin su estilo",
    "No clipboard here": "Sin portapapeles",
    "Download PNG": "Descargar PNG",
    "Strength": "Intensidad",
    "Colours of the": "Colores de",
    "Painting": "Cuadro",
    "Size (longer side, px)": "Tamaño (lado mayor, px)",
    "As it is": "Original",
    "Brush strokes": "Pinceladas",
    "Fine": "Finas",
    "Medium": "Medias",
    "Broad": "Anchas",
    "Bold": "Gruesas",
    "Your last pictures, kept in this browser alone.": "Sus últimas imágenes, guardadas solo en este navegador.",
    "Forget them": "Olvidarlas",
    "A picture of yours": "Una imagen suya",
    "Use its settings": "Usar sus ajustes",
    "Forget it": "Olvidarla",
    "Close": "Cerrar",
    "Video": "Vídeo",
    "Film": "Película",
    "Paint": "Pintar",
    "Film (MP4)": "Película (MP4)",
    "Your film": "Su película",
    "Styles of the community": "Estilos de la comunidad",
    "First come the": "Primero los",
    "Most liked": "más apreciados",
    "Newest": "más nuevos",
    "Style, artist, repository": "Estilo, artista, repositorio",
    "Drop, paste\nor choose one": "Suelte, pegue\no elija una",
    "Or one of these": "O una de estas",
    "How": "Cómo",
    "Quick look": "Rápido",
    "From noise": "Desde ruido",
    "The paper": "El artículo",
    "Tutorial": "Tutorial",
    "Run": "Empezar",
    "Stop": "Parar",
    "Continue": "Continuar",
    "Picture (PNG)": "Imagen (PNG)",
    "Losses (CSV)": "Pérdidas (CSV)",
    "Steps at most": "Pasos como máximo",
    "Start from": "Comenzar desde",
    "The photograph": "La fotografía",
    "Noise": "Ruido",
    "The painting": "El cuadro",
    "A fast style's picture": "La imagen de un estilo rápido",
    "The fast style": "El estilo rápido",
    "Photograph, exactly": "Fotografía, exactos",
    "Weights, optimiser, network": "Pesos, optimizador, red",
    "Content weight": "Peso del contenido",
    "Style weight": "Peso del estilo",
    "Smoothness (total variation)": "Suavidad (variación total)",
    "Optimiser": "Optimizador",
    "Feature network": "Red de características",
    "Compact, quick": "Compacta, rápida",
    "VGG19, the paper's": "VGG19, la del artículo",
    "Seed of the noise": "Semilla del ruido",
    "More paintings, and where each applies": "Más cuadros, y dónde se aplica cada uno",
}

WORDS = gr.I18n(es=SPANISH)
"""For ``launch``. A browser of any other language finds nothing here, and shows what it looked for: the English."""


def say(words: str) -> Any:
    """Words for a component, which the browser says in its language; not all of Gradio's annotations know of it."""
    assert words in SPANISH, words
    return WORDS(words)
