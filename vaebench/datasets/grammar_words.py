"""The words and the forms of the corpora in `grammars`.

In a form capitals name slots, and what stands in brackets may be left out.
"""

# Two styles: a kind's nouns in two groups, then pairs (good, bad): mild ones and strong ones.
KINDS = '''
    soup stew / salad pizza / tasty bland / delicious disgusting
    coffee tea / beer wine / fresh stale / superb vile
    waiter cook / barber driver / polite rude / charming hostile
    room lobby / office garage / tidy messy / spotless filthy
    bed sofa / chair bench / comfortable uncomfortable / cozy painful
    price bill / fee rent / fair unfair / generous outrageous
    music song / film play / pleasant unpleasant / brilliant dreadful
    phone camera / lamp clock / useful useless / excellent terrible
    lesson lecture / tour trip / interesting boring / wonderful awful
    park garden / beach lake / pretty ugly / beautiful hideous
    letter answer / report speech / clear confusing / perfect worthless
    bus taxi / train boat / quick slow / smooth scary
    '''
DEGREES = ('rather', 'quite', 'fairly'), ('truly', 'simply', 'utterly')    # mild, strong
PERSONS = '''
    i / liked disliked
    we / loved hated
    they / praised blamed
    she / enjoyed endured
    he / admired despised
    you / recommended avoided
    '''
TIMES = '''
    today / luckily sadly
    yesterday / thankfully regrettably
    tonight / happily unhappily
    again / hurrah alas
    lately / hooray ugh
    twice / bravo pity
    '''
MODIFIERS = '''
    new old small large local second first last usual other next main plain green red blue
    '''
PLACES = ('by the window', 'near the station', 'behind the church', 'on the corner',
          'at the market', 'above the shop', 'under the bridge', 'beside the museum')
REVIEWS = (
    'the [MOD] NOUN [PLACE] was DEGREE ADJ',
    '[OPENER] the [MOD] NOUN [PLACE] was DEGREE ADJ TIME',
    'PERSON VERB the [MOD] NOUN PLACE',
    '[OPENER] PERSON VERB the [MOD] NOUN [PLACE] TIME',
    'PERSON VERB the [MOD] NOUN because it was DEGREE ADJ',
    '[OPENER] PERSON VERB the [MOD] NOUN because it was DEGREE ADJ TIME',
    'the [MOD] NOUN that PERSON VERB was DEGREE ADJ [TIME]',
    'PERSON found the [MOD] NOUN DEGREE ADJ',
)

# Register: words that mean the same, formal / informal, and words that stand with these alone.
ADVERBS = '''
    perhaps possibly / maybe / today tonight
    certainly undoubtedly / sure / yesterday sunday
    frequently regularly / often always / lately abroad
    immediately promptly / quick / outside upstairs
    '''
PEOPLE = '''
    child infant / kid / anna peter
    gentleman / guy dude / david simon
    companion / pal buddy / maria oscar
    physician surgeon / doc / laura felix
    employer supervisor / boss / helen victor
    father / dad pop / martin paul
    mother / mom / judith rosa
    officer constable / cop / bruno emma
    '''
DEEDS = '''
    purchased acquired / bought got / bottle ticket
    repaired / fixed mended / radio bicycle
    inspected examined / checked / engine passport
    observed / saw spotted / comet eagle
    requested demanded / wanted / loan menu
    misplaced / lost / wallet umbrella
    damaged destroyed / broke smashed / window fence
    concealed / hid / treasure letter
    '''
QUALITIES = '''
    excellent superb / great cool / paris vienna
    large substantial / big huge / china egypt
    inexpensive economical / cheap / madrid lisbon
    unusual / weird odd / iceland peru
    antiquated / old / athens rome
    attractive / pretty cute / prague milan
    '''
REMARKS = (
    'NAME DEED the QUALITY OBJECT from ORIGIN [TIME]',
    'the PERSON NAME DEED the OBJECT [TIME]',
    'the PERSON NAME DEED the QUALITY OBJECT from ORIGIN [TIME]',
    'ADVERB NAME DEED the OBJECT TIME',
    'ADVERB NAME DEED the QUALITY OBJECT from ORIGIN TIME',
    'ADVERB the PERSON NAME DEED the OBJECT TIME',
)

# Analogies: nouns in both numbers; verbs as 'they see', 'she sees', 'she saw'.
SUBJECTS = '''
    baker bakers, farmer farmers, sailor sailors, teacher teachers, painter painters,
    singer singers, doctor doctors, pilot pilots, queen queens, student students
    '''
ACTIONS = '''
    see sees saw, hear hears heard, find finds found, want wants wanted, sell sells sold,
    hide hides hid, carry carries carried, paint paints painted, buy buys bought,
    bring brings brought
    '''
STATES = 'young old tall happy tired quiet famous clever'
THINGS = 'cat horse book flag clock ring lamp basket violin wagon coat bell'
EVENTS = ('in the garden', 'at the harbor', 'on the hill', 'near the river', 'in the kitchen',
          'behind the tower')
TALES = 'the STATE SUBJECT ACTION the THING EVENT', 'EVENT the STATE SUBJECT ACTION the THING'

# Simplification: complex / simple.
TRADES = 'farmer merchant soldier teacher doctor sailor baker painter hunter miller'
TRAITS = '''
    elderly / old, impoverished / poor, prosperous / rich, courageous / brave,
    intelligent / smart, exhausted / tired, diminutive / small, furious / angry
    '''
WORKS = '''
    purchased / bought, constructed / built, discovered / found, obtained / got,
    transported / moved, demolished / broke, required / needed, concealed / hid,
    donated / gave, utilized / used
    '''
GOODS = 'grain bridge ladder carpet barrel statue bread candle mirror wheel'
LINKS = '''
    prior to / before, subsequent to / after, due to / because of, in spite of / despite,
    throughout the course of / during
    '''
OCCASIONS = 'storm feast election war harvest winter meeting flood'
CLAUSES = ('lived in the village', 'owned a mill', 'came from the north', 'had seven sons',
           'spoke three languages', 'worked at night', 'sang in the choir', 'kept two goats')
REPORTS = (
    'the [TRAIT] TRADE RELATIVE WORK the GOODS . AFTERWARDS',
    'the [TRAIT] TRADE RELATIVE WORK the GOODS LINK the OCCASION . AFTERWARDS',
    'LINK the OCCASION , the [TRAIT] TRADE RELATIVE WORK the GOODS . AFTERWARDS',
)

# Dialogues: topic / what is done with its things / the things.
SUBJECTS_OF_TALK = '''
    music / play / violin flute drum piano guitar horn
    food / cook / soup cake stew fish rice bread
    garden / water / rose lily fern moss vine oak
    books / read / poem novel diary letter essay fable
    crafts / paint / chair bench table lamp box mirror
    travel / visit / castle island harbor museum desert valley
    '''
FEELINGS = '''
    adore enjoy treasure / can / yes / gladly / wonderful / love
    detest dread resent / cannot / no / sorry / terrible / hate
    '''
OPENINGS = 'i FEEL my ITEM', 'honestly i FEEL my ITEM', 'my ITEM is something i FEEL'
FILLERS = ('oh really ?', 'i see .', 'go on .', 'good to know .', 'is that so ?', 'well .')
DETAILS = '''
    monday tuesday friday sunday christmas easter / on
    noon school work night sea market / at
    anna peter maria david laura oscar / with
    '''
ASKED = 'shall we meet DETAIL ?', 'are you free DETAIL ?', 'do you have time DETAIL ?'
TOLD = 'i am free DETAIL .', 'they invited us DETAIL .', 'the others come DETAIL .'
RESPONSES = {'asked': '''
    answer / AYE , we MAY DO MY ITEM DETAIL .
    answer / SURE , DETAIL we MAY DO MY ITEM .
    question / what about MY ITEM DETAIL ?
    question / DETAIL ? is MY ITEM not GOOD ?
    statement / MY ITEM is GOOD DETAIL .
    statement / DETAIL people LIKE MY ITEM .
    ''', 'told': '''
    question / why DETAIL and why MY ITEM ?
    question / should we DO MY ITEM DETAIL ?
    question / is MY ITEM so GOOD DETAIL ?
    statement / then we MAY DO MY ITEM DETAIL .
    statement / MY ITEM is GOOD DETAIL .
    statement / DETAIL people LIKE MY ITEM .
    '''}
"""What may be said after a question, and after a statement: act / form."""
